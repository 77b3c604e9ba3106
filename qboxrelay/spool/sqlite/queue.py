"""The operator's port, on SQLite, beside a relay that may be running.

In: the port's calls. Out: the port's answers. Never: a transaction that a session waits for long; SQL on the event loop's thread.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from qboxrelay.model.clock import Clock
from qboxrelay.spool.port import Handled, Record, SpoolError
from qboxrelay.spool.queue import AT_ONCE, Act, Content, Done, Overview, Page, Selection, Story
from qboxrelay.spool.sqlite import acts, reads, stories
from qboxrelay.spool.sqlite.beside import Beside
from qboxrelay.spool.sqlite.fresh import line_up
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.statements import load_statements
from qboxrelay.spool.times import to_ms

T = TypeVar("T")


class SqliteQueue:
    """The queue of the spool in one file."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._beside = Beside(path)
        self._clock = clock
        self._sql = load_statements("sqlite")

    async def find(self, id_: str) -> list[Record]:
        return await self._read(lambda connection: reads.find(self._sql, connection, id_))

    async def trace(self, text: str, *, limit: int) -> list[Record]:
        return await self._read(lambda connection: stories.trace(self._sql, connection, text, limit))

    async def select(self, selection: Selection, *, before: int | None = None, limit: int, look: int = 10_000) -> Page:
        return await self._read(
            lambda connection: stories.select(self._sql, connection, selection, before=before, limit=limit, look=look)
        )

    async def story(self, id_: str) -> Story | None:
        return await self._read(lambda connection: stories.story(self._sql, connection, id_))

    async def handled(self, id_: str) -> list[Handled]:
        return await self._read(lambda connection: acts.on(self._sql, connection, id_))

    async def content(self, id_: str) -> Content | None:
        return await self._read(lambda connection: stories.content(self._sql, connection, id_))

    async def overview(self) -> Overview:
        return await self._read(lambda connection: stories.overview(self._sql, connection))

    async def act(self, act: Act, ids: Sequence[str], *, by: str) -> list[Done]:
        if len(ids) > AT_ONCE:
            raise SpoolError(f"at most {AT_ONCE} submissions at once")
        now = self._clock.now()

        def work(connection: sqlite3.Connection) -> list[Done]:
            transaction = Transaction(connection)
            line_up(self._sql, transaction)
            done = acts.act(self._sql, transaction, act, ids, by=by, now=now)
            transaction.store_depth(Many(self._sql["add_depth"]))
            return done

        return await self._write(work)

    async def pause(self, account: str, *, by: str, why: str) -> bool:
        values = {"account": account, "now": to_ms(self._clock.now()), "by": by, "why": why}
        return await self._switch("pause", values)

    async def resume(self, account: str, *, by: str) -> bool:
        return await self._switch("resume", {"account": account, "by": by})

    async def close(self) -> None:
        """Each call brings its own connection."""

    async def _switch(self, name: str, values: dict[str, object]) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(self._sql[name], values).rowcount > 0
            if changed:
                by, account = str(values["by"]), str(values["account"])
                acts.write_down(self._sql, connection, name, by=by, now=self._clock.now(), account=account)
            return changed

        return await self._write(work)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            with self._beside.reading() as connection:
                return work(connection)

        return await asyncio.to_thread(run)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            with self._beside.writing() as connection:
                return work(connection)

        return await asyncio.to_thread(run)
