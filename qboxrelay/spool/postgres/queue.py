"""The operator's port, on PostgreSQL: over all nodes, beside relays that may be running.

In: the port's calls. Out: the port's answers. Never: a spool that is made or migrated by looking; a transaction that waits for a person.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from qboxrelay.model.clock import Clock
from qboxrelay.spool.port import Handled, Record, SpoolError
from qboxrelay.spool.postgres import acts, reads, stories
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.transacting import insist
from qboxrelay.spool.queue import AT_ONCE, Act, Content, Done, Overview, Page, Selection, Story
from qboxrelay.spool.statements import load_statements
from qboxrelay.spool.times import to_ms


class Reach(Protocol):
    """How to come to a connection: see `Database`."""

    def reading(self) -> AbstractAsyncContextManager[Connection]: ...

    def writing(self) -> AbstractAsyncContextManager[Connection]: ...


class Beside:
    """A command's own connections, made when the first is needed; `close` ends them. Raises `SpoolError` where there is no spool yet."""

    def __init__(self, open_database: Callable[[], Awaitable[Database]]) -> None:
        self._open = open_database
        self._database: Database | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        async with (await self._opened()).reading() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        async with (await self._opened()).writing() as connection:
            yield connection

    async def close(self) -> None:
        if self._database is not None:
            database, self._database = self._database, None
            await database.close()

    async def _opened(self) -> Database:
        if self._database is None:
            self._database = await self._open()
        return self._database


class PostgresQueue:
    """The queue of a spool that any number of relays may have open. `close` is told to a reach of its own only."""

    def __init__(self, reach: Reach, *, clock: Clock, close: Callable[[], Awaitable[None]] | None = None) -> None:
        self._reach = reach
        self._clock = clock
        self._close = close
        self._sql = load_statements("postgres")

    @classmethod
    def beside(cls, open_database: Callable[[], Awaitable[Database]], *, clock: Clock) -> "PostgresQueue":
        """For a command, which closes it."""
        reach = Beside(open_database)
        return cls(reach, clock=clock, close=reach.close)

    async def find(self, id_: str) -> list[Record]:
        async with self._reach.reading() as connection:
            return await reads.find(self._sql, connection, id_)

    async def trace(self, text: str, *, limit: int) -> list[Record]:
        async with self._reach.reading() as connection:
            return await stories.trace(self._sql, connection, text, limit)

    async def select(self, selection: Selection, *, before: int | None = None, limit: int, look: int = 10_000) -> Page:
        async with self._reach.reading() as connection:
            return await stories.select(self._sql, connection, selection, before=before, limit=limit, look=look)

    async def story(self, id_: str) -> Story | None:
        async with self._reach.reading() as connection:
            return await stories.story(self._sql, connection, id_)

    async def handled(self, id_: str) -> list[Handled]:
        async with self._reach.reading() as connection:
            return await acts.on(self._sql, connection, id_)

    async def content(self, id_: str) -> Content | None:
        async with self._reach.reading() as connection:
            return await stories.content(self._sql, connection, id_)

    async def overview(self) -> Overview:
        async with self._reach.reading() as connection:
            return await stories.overview(self._sql, connection)

    async def act(self, act: Act, ids: Sequence[str], *, by: str) -> list[Done]:
        if len(ids) > AT_ONCE:
            raise SpoolError(f"at most {AT_ONCE} submissions at once")

        async def done() -> list[Done]:
            async with self._reach.writing() as connection:
                return await acts.act(self._sql, connection, act, ids, by=by, now=self._clock.now())

        return await insist(done)

    async def pause(self, account: str, *, by: str, why: str) -> bool:
        values = {"now": to_ms(self._clock.now()), "why": reads.storable(why)}
        return await self._switch("pause", account, by, values)

    async def resume(self, account: str, *, by: str) -> bool:
        return await self._switch("resume", account, by, {})

    async def close(self) -> None:
        """End what was opened for it."""
        if self._close is not None:
            await self._close()

    async def _switch(self, name: str, account: str, by: str, values: dict[str, object]) -> bool:
        async with self._reach.writing() as connection:
            return await acts.switch(self._sql, connection, name, account, by=by, now=self._clock.now(), values=values)
