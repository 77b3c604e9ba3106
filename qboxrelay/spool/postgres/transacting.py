"""Transactions that are finished once they were begun, and what follows from their commit.

In: work over a connection. Out: its result, after the commit. Never: half of it when the caller goes away; a figure or a wake-up before the
commit.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.changes import Changes
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.faults import SpoolConflict

_TRIES = 6
_PAUSE = 0.005
"""Seconds at most, and more with each try: mail that changes its partition makes conflicts ordinary, and whoever was in the way shall be done."""
_CLOSING_SECONDS = 30.0

T = TypeVar("T")
Work = Callable[[Connection, Changes], Awaitable[T]]


Chance = Callable[[], float]
"""Draws from 0 to 1."""


async def insist(work: Callable[[], Awaitable[T]], *, chance: Chance = random.random) -> T:
    """Again when another transaction was in its way, a few times. Those that were in each other's way come back at different moments."""
    for number in range(1, _TRIES):
        with contextlib.suppress(SpoolConflict):
            return await work()
        await asyncio.sleep(number * _PAUSE * chance())
    return await work()


class Transactions:
    """Of one spool. `committed` hears of what each of them changed."""

    def __init__(
        self,
        database: Database,
        sql: dict[str, str],
        *,
        committed: Callable[[Changes], None],
        chance: Chance = random.random,
    ) -> None:
        self._database = database
        self._sql = sql
        self._committed = committed
        self._chance = chance
        self._begun: set[asyncio.Task[Any]] = set()
        self._closed = False

    def require_open(self) -> None:
        """Raises `SpoolError`."""
        if self._closed:
            raise SpoolError("the spool is closed")

    async def change(self, work: Work[T], *, alone: bool = False) -> T:
        """One transaction, done again when another one was in its way. `alone`: the work is one statement, which needs none around it."""

        async def once() -> tuple[T, Changes]:
            changes = Changes()
            async with self._database.reading() if alone else self._database.writing() as connection:
                result = await work(connection, changes)
                await changes.save(self._sql, connection)
            return result, changes

        result, changes = await insist(once, chance=self._chance)
        self._committed(changes)
        return result

    async def finish(self, work: Callable[[], Awaitable[T]]) -> T:
        """It goes on when the caller goes away: its result is then nobody's, but it is not undone. Raises `SpoolError` when closed."""
        self.require_open()
        return await asyncio.shield(self.begin(work()))

    def begin(self, work: Awaitable[T]) -> "asyncio.Task[T]":
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._begun.add(task)
        task.add_done_callback(self._ended)
        return task

    def refuse(self) -> None:
        """Nothing more is begun."""
        self._closed = True

    async def close(self) -> None:
        """Finish what was begun."""
        self.refuse()
        if self._begun:
            await asyncio.wait(self._begun, timeout=_CLOSING_SECONDS)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._begun.discard(task)
        # Where nobody waits for it any more, its error is nobody's.
        if not task.cancelled():
            task.exception()
