"""Several nodes on one schema of a real server.

In: nothing. Out: nodes that entered, with a clock that tests set in place of the server's. Never: a server that somebody else uses.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from qboxrelay.model.clock import Clock, SystemClock
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.nodes import PostgresShared
from qboxrelay.spool.shared import Work
from tests.contract.spool.harness import ManualClock
from tests.support.postgres import shared_cluster, unused_schema

_INSTANCES = count(1)


class Schema:
    """One schema. `clock` stands in for the server's; None: the server's own."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.name = unused_schema()
        self.clock = clock

    async def database(self) -> Database:
        clock = self.clock
        now = None if clock is None else lambda: round(clock.now().timestamp() * 1000)
        return await Database.open(shared_cluster().url(), schema=self.name, pool_size=4, now_ms=now)

    async def enter(self, name: str, *, clock: Clock | None = None, work: Callable[[], Work] = Work) -> PostgresShared:
        """To be closed by the caller."""
        return await PostgresShared.enter(
            await self.database(),
            name=name,
            instance=f"run-{next(_INSTANCES)}",
            version="1.2.3",
            clock=clock or SystemClock(),
            work=work,
        )

    @asynccontextmanager
    async def node(self, name: str = "one", **options: Any) -> AsyncIterator[PostgresShared]:
        node = await self.enter(name, **options)
        try:
            yield node
        finally:
            await node.close()

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """Beside all nodes."""
        database = await self.database()
        try:
            async with database.reading() as connection:
                cursor = await connection.execute(query.encode())
                return await cursor.fetchall() if cursor.description is not None else []
        finally:
            await database.close()
