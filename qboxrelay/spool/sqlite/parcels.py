"""A file's submissions, given to another spool or taken from one.

In: a path, parts. Out: parts, rows. Never: a file that a relay has open, or a part that is half there.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import orjson

from qboxrelay.model.submission import State
from qboxrelay.spool import parcels
from qboxrelay.spool.parcels import Columns, Kept, Parcel, Part, Survey, Target
from qboxrelay.spool.sqlite.beside import Beside, require_file
from qboxrelay.spool.sqlite.content import Content
from qboxrelay.spool.sqlite.fresh import line_up, shown
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.opening import Opened, open_files
from qboxrelay.spool.sqlite.record import Recorder
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.sqlite.writer import as_spool_error
from qboxrelay.spool.statements import load_statements

Sql = dict[str, str]
T = TypeVar("T")


class SqliteParcels:
    """One file, locked as a relay locks it. `open` is the way to make one."""

    def __init__(self, files: Opened, now: datetime) -> None:
        self._files = files
        self._connection = files.writer
        self._connection.row_factory = sqlite3.Row
        self._sql = load_statements("sqlite")
        self._now = now

    @classmethod
    async def open(cls, path: Path, *, now: datetime, make: bool = True) -> Self:
        """Migrates it, and makes it where asked for. Raises `SpoolLocked` where a relay has it, `SpoolError`."""
        if not make:
            await asyncio.to_thread(require_file, path)
        return cls(await asyncio.to_thread(open_files, path, stamp=f"{now:%Y%m%dT%H%M%SZ}"), now)

    async def same_as(self, target: Target) -> bool:  # noqa: ARG002 - the port's
        """Its lock keeps it from being opened twice."""
        return False

    async def settle(self, into: State) -> int:
        recorder = Recorder(self._sql, Content(self._sql, keep_raw=True))

        def work(transaction: Transaction) -> int:
            transaction.connection.execute(self._sql["put_pause"], parcels.pause(self._now))
            # The lock is ours, so whatever is under way belongs to a process that is gone.
            return recorder.expire(transaction, None, into, self._now).total()

        return await self._committed(work)

    async def survey(self) -> Survey:
        return await self._run(lambda: survey(self._sql, self._connection))

    async def kept(self) -> Kept:
        return await self._run(lambda: _kept(self._sql, self._connection))

    @asynccontextmanager
    async def part(self, after: int, *, trail: bool) -> AsyncIterator[Part]:
        # A command beside it, which needs no lock, must not change or delete what is on its way.
        await self._execute("BEGIN IMMEDIATE")
        try:
            await self._run(lambda: _line_up(self._sql, self._connection))
            yield await self._run(lambda: _taken(self._sql, self._connection, after, trail=trail))
            await self._execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                await self._execute("ROLLBACK")

    async def drop(self, part: Part) -> None:
        await self._run(lambda: _drop(self._sql, Transaction(self._connection), part))

    async def finish(self) -> None:
        await self._execute(self._sql["drop_pauses"])

    async def put_kept(self, kept: Kept) -> None:
        await self._committed(lambda transaction: _put_kept(self._sql, transaction.connection, kept))

    async def put(self, part: Part) -> int:
        return await self._committed(lambda transaction: _put(self._sql, transaction, part))

    async def close(self) -> None:
        await asyncio.to_thread(self._files.close)

    async def _committed(self, work: Callable[[Transaction], T]) -> T:
        await self._execute("BEGIN IMMEDIATE")
        try:
            transaction = Transaction(self._connection)
            result = await self._run(lambda: work(transaction))
            await self._run(lambda: transaction.store_depth(Many(self._sql["add_depth"])))
            await self._execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                await self._execute("ROLLBACK")
        return result

    async def _execute(self, statement: str) -> None:
        await self._run(lambda: self._connection.execute(statement))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except (sqlite3.Error, MemoryError) as error:
            raise as_spool_error(error) from error


async def survey_beside(path: Path) -> Survey:
    """Beside a relay that may have it open. Raises `SpoolError`."""

    def look() -> Survey:
        with Beside(path).reading() as connection:
            return survey(load_statements("sqlite"), connection)

    return await asyncio.to_thread(look)


def survey(sql: Sql, connection: sqlite3.Connection) -> Survey:
    """On any connection with rows by name, also beside a relay."""
    rows = connection.execute(sql["parcels_surveyed"]).fetchall()
    fresh = shown(sql, connection)
    mail = Counter({State(row["state"]): int(row["mail"]) for row in rows if row["mail"]})
    return Survey(
        mail=dict(mail + Counter({State.QUEUED: len(fresh)})),
        bytes=sum(int(row["mail_bytes"]) for row in rows) + sum(row["payload_bytes"] for row in fresh),
        trail=sum(row["messages"] - int(row["mail"]) for row in rows),
    )


def _line_up(sql: Sql, connection: sqlite3.Connection) -> None:
    transaction = Transaction(connection)
    line_up(sql, transaction)
    transaction.store_depth(Many(sql["add_depth"]))


def _taken(sql: Sql, connection: sqlite3.Connection, after: int, *, trail: bool) -> Part:
    values = {"after": after, "limit": parcels.PART_MESSAGES}
    found = connection.execute(sql["parcels_of_trail" if trail else "parcels_of_mail"], values).fetchall()
    keys = _json(parcels.chosen((row["key"], row["size"]) for row in found))
    rows = connection.execute(sql["parcel_rows"], {"keys": keys}).fetchall()
    attempts = connection.execute(sql["parcel_attempts"], {"keys": keys}).fetchall()
    acts = connection.execute(sql["parcel_acts"], {"ids": _json([row["id"] for row in rows])}).fetchall()
    named = {row["request"] for row in (*rows, *attempts)} - {None}
    requests = connection.execute(sql["parcel_requests"], {"keys": _json(sorted(named))}).fetchall()
    return parcels.part_of(rows, attempts, acts, requests)


def _drop(sql: Sql, transaction: Transaction, part: Part) -> None:
    keys = {"keys": _json([parcel.key for parcel in part.parcels])}
    for name in ("delete_payloads", "delete_attempts", "delete_submissions"):
        transaction.connection.execute(sql[name], keys)
    transaction.connection.execute(sql["drop_acts"], {"ids": _json([parcel.row["id"] for parcel in part.parcels])})
    _count(transaction, part.parcels, -1)
    transaction.store_depth(Many(sql["add_depth"]))


def _put(sql: Sql, transaction: Transaction, part: Part) -> int:
    connection = transaction.connection
    line_up(sql, transaction)
    ids = _json([parcel.row["id"] for parcel in part.parcels])
    known = {row["id"] for row in connection.execute(sql["parcels_known"], {"ids": ids})}
    new = [parcel for parcel in part.parcels if parcel.row["id"] not in known]
    (last,) = connection.execute(sql["last_key"]).fetchone()
    numbers = {
        number: connection.execute(sql["put_request"], parcels.ended(request)).lastrowid
        for number, request in part.requests.items()
        if new
    }
    for key, parcel in enumerate(new, last + 1):
        _put_one(sql, connection, key, parcel, numbers)
    _put_acts(sql, connection, new)
    _count(transaction, new, 1)
    return len(new)


def _put_one(
    sql: Sql, connection: sqlite3.Connection, key: int, parcel: Parcel, numbers: dict[int, int | None]
) -> None:
    request = None if parcel.request is None else numbers.get(parcel.request)
    connection.execute(sql["put_submission"], {**parcel.row, "key": key, "request": request})
    if parcel.payload is not None:
        connection.execute(sql["put_payload"], (key, parcel.payload, parcel.raw))
    rows = [{**one, "submission": key, "request": numbers.get(one["request"]) or 0} for one in parcel.attempts]
    connection.executemany(sql["put_attempt"], rows)


def _put_acts(sql: Sql, connection: sqlite3.Connection, new: Sequence[Parcel]) -> None:
    """Below all others: a relay follows those above, and these are no news."""
    rows: list[Columns] = [one for parcel in new for one in parcel.acts]
    (first,) = connection.execute(sql["first_act"]).fetchone()
    numbered = [{**one, "key": first - len(rows) + number, "submission": 0} for number, one in enumerate(rows)]
    connection.executemany(sql["put_act"], numbered)


def _count(transaction: Transaction, moved: Sequence[Parcel], sign: int) -> None:
    for (account, state), (messages, size) in parcels.changes(moved, sign).items():
        transaction.count(account, state, messages, size)


def _kept(sql: Sql, connection: sqlite3.Connection) -> Kept:
    return parcels.kept_of(
        connection.execute(sql["pauses"]).fetchall(), connection.execute(sql["all_facts"]).fetchall()
    )


def _put_kept(sql: Sql, connection: sqlite3.Connection, kept: Kept) -> None:
    connection.executemany(sql["put_pause"], kept.pauses)
    connection.executemany(sql["put_fact"], kept.facts)


def _json(values: Sequence[Any]) -> str:
    return orjson.dumps(values).decode()
