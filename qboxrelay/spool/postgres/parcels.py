"""A server's submissions, given to another spool or taken from one.

In: a database, parts. Out: parts, rows. Never: a source that relays work on; a part that is half there.

No lock of the server keeps relays away for the hours that a move may take, through lost connections. A pause does, and outlives them: while mail
is taken from a spool here, nothing is sent of it, whoever starts meanwhile.
"""

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from qboxrelay.model.submission import State
from qboxrelay.spool import parcels
from qboxrelay.spool.parcels import Columns, Kept, Parcel, Part, Survey, Target
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres import acts
from qboxrelay.spool.postgres.changes import Changes
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.reads import Sql, fitting, storable
from qboxrelay.spool.postgres.record import Recorder
from qboxrelay.spool.shared import SILENT_AFTER
from qboxrelay.spool.statements import load_statements
from qboxrelay.spool.times import to_ms

Values = Mapping[str, object]
_INDEXED = frozenset({"client_key", "message_id_header", "message_id", "request_id", "tell"})


class PostgresParcels:
    """One spool of one database; as a target, relays may be using it."""

    def __init__(self, database: Database, *, now: datetime) -> None:
        self._database = database
        self._sql = load_statements("postgres")
        self._now = now
        self._connection: Connection | None = None

    @property
    def database(self) -> Database:
        return self._database

    async def same_as(self, target: Target) -> bool:
        """However its address is written: what one of them locks, the other cannot."""
        if not isinstance(target, PostgresParcels) or target.database.schema != self._database.schema:
            return False
        mark = {"mark": secrets.randbits(62)}
        async with self._database.writing() as ours, target.database.reading() as theirs:
            await ours.execute(self._sql["try_mark"], mark)
            (found,) = await _rows(theirs, self._sql["try_mark"], mark)
        return not found["free"]

    async def settle(self, into: State) -> int:
        await self._require_alone()
        async with self._database.writing() as connection:
            await connection.execute(self._sql["put_pause"], parcels.pause(self._now))
        try:
            # One may have started in between, and not have seen the pause.
            await self._require_alone()
        except SpoolError:
            await self._go_on()
            raise
        return await self._expire(into)

    async def survey(self) -> Survey:
        async with self._database.reading() as connection:
            return await survey(self._sql, connection)

    async def kept(self) -> Kept:
        async with self._database.reading() as connection:
            pauses = await _rows(connection, self._sql["pauses"], {})
            facts = await _rows(connection, self._sql["all_facts"], {})
        return parcels.kept_of(pauses, facts)

    @asynccontextmanager
    async def part(self, after: int, *, trail: bool) -> AsyncIterator[Part]:
        async with self._database.writing() as connection:
            self._connection = connection
            yield await _taken(self._sql, connection, after, trail=trail)

    async def drop(self, part: Part) -> None:
        assert self._connection is not None, "a part is dropped within its transaction"
        await self._connection.execute(self._sql["erase"], {"keys": [parcel.key for parcel in part.parcels]})
        await self._connection.execute(self._sql["drop_acts"], {"ids": [parcel.row["id"] for parcel in part.parcels]})
        await _count(self._sql, self._connection, part.parcels, -1)

    async def finish(self) -> None:
        async with self._database.writing() as connection:
            await connection.execute(self._sql["drop_pauses"])

    async def put_kept(self, kept: Kept) -> None:
        async with self._database.writing() as connection:
            await _each(connection, self._sql["put_pause"], [_clean(one) for one in kept.pauses])
            await _each(connection, self._sql["put_fact"], [_clean(one) for one in kept.facts])

    async def put(self, part: Part) -> int:
        async with self._database.writing() as connection:
            return await _put(self._sql, connection, part, to_ms(self._now))

    async def close(self) -> None:
        await self._database.close()

    async def _require_alone(self) -> None:
        values = {"server": self._database.now_ms(), "within": round(SILENT_AFTER.total_seconds() * 1000)}
        async with self._database.reading() as connection:
            seen = await _rows(connection, self._sql["relays_seen"], values)
            (leased,) = await _rows(connection, self._sql["still_leased"], values)
        if seen:
            names = ", ".join(f"{row['name']} ({row['seconds']} s ago)" for row in seen)
            raise SpoolError(
                f"relays work on this spool: {names}; stop them first, and wait {SILENT_AFTER.seconds} s for one that was killed"
            )
        if leased["requests"]:
            seconds = leased["left_ms"] // 1000 + 1
            raise SpoolError(
                f"a relay that did not stop by itself may still send from this spool: try again in {seconds} s, when its leases have run out"
            )

    async def _go_on(self) -> None:
        async with self._database.writing() as connection:
            await connection.execute(self._sql["drop_our_pause"], {"by": parcels.MOVING})

    async def _expire(self, into: State) -> int:
        recorder, server_now, lost = Recorder(self._sql, keep_raw=True), self._database.now_ms(), 0
        while True:
            async with self._database.writing() as connection:
                ended = await recorder.expire(connection, Changes(), into=into, now=self._now, server_now=server_now)
            lost += ended.total()
            if not ended:
                return lost


async def survey(sql: Sql, connection: Connection) -> Survey:
    """On any connection, also beside relays."""
    rows = await _rows(connection, sql["parcels_surveyed"], {})
    return Survey(
        mail={State(row["state"]): row["messages"] for row in rows if row["is_mail"]},
        bytes=sum(row["bytes"] for row in rows if row["is_mail"]),
        trail=sum(row["messages"] for row in rows if not row["is_mail"]),
    )


async def _taken(sql: Sql, connection: Connection, after: int, *, trail: bool) -> Part:
    values = {"after": after, "limit": parcels.PART_MESSAGES}
    found = await _rows(connection, sql["parcels_of_trail" if trail else "parcels_of_mail"], values)
    keys = {"keys": parcels.chosen((row["key"], row["size"]) for row in found)}
    await connection.execute(sql["parcels_locked"], keys)
    rows = await _rows(connection, sql["parcel_rows"], keys)
    attempts = await _rows(connection, sql["parcel_attempts"], keys)
    done = await _rows(connection, sql["parcel_acts"], {"ids": [row["id"] for row in rows]})
    named = {row["request"] for row in (*rows, *attempts)} - {None}
    requests = await _rows(connection, sql["parcel_requests"], {"keys": sorted(named)})
    return parcels.part_of(rows, attempts, done, requests)


async def _put(sql: Sql, connection: Connection, part: Part, now_ms: int) -> int:
    ids = {"ids": [storable(parcel.row["id"]) for parcel in part.parcels]}
    known = {row["id"] for row in await _rows(connection, sql["parcels_known"], ids)}
    new = [parcel for parcel in part.parcels if storable(parcel.row["id"]) not in known]
    if not new:
        # A commit that writes waits for the replicas, also of what was found.
        await connection.execute(sql["heartbeat"], {"now": now_ms})
        return 0
    numbers = dict(
        zip(part.requests, await _keys(connection, sql["new_request_keys"], len(part.requests)), strict=True)
    )
    requests = [{**parcels.ended(one), "key": numbers[number]} for number, one in part.requests.items()]
    await _each(connection, sql["put_request"], map(_clean, requests))
    keys = await _keys(connection, sql["new_submission_keys"], len(new))
    rows = [
        _clean({**parcel.row, "key": key, "request": None if parcel.request is None else numbers.get(parcel.request)})
        for key, parcel in zip(keys, new, strict=True)
    ]
    await _each(connection, sql["put_submission"], rows)
    await _each(connection, sql["put_state"], rows)
    await _put_belongings(sql, connection, dict(zip(keys, new, strict=True)), numbers)
    await _count(sql, connection, new, 1)
    return len(new)


async def _put_belongings(
    sql: Sql, connection: Connection, new: Mapping[int, Parcel], numbers: Mapping[int, int]
) -> None:
    contents = [
        {"key": key, "payload": parcel.payload, "raw": parcel.raw}
        for key, parcel in new.items()
        if parcel.payload is not None
    ]
    await _each(connection, sql["put_payload"], contents)
    attempts = [
        _clean({**one, "submission": key, "request": numbers.get(one["request"], 0)})
        for key, parcel in new.items()
        for one in parcel.attempts
    ]
    await _each(connection, sql["put_attempt"], attempts)
    done: list[Columns] = [one for parcel in new.values() for one in parcel.acts]
    if done:
        # Below all others: relays follow those above, and these are no news. Nobody else may number them at the same time.
        await connection.execute(sql["acting"])
        (row,) = await _rows(connection, sql["first_act"], {})
        first = (row["key"] or 0) - len(done)
        await _each(connection, sql["put_act"], [_clean({**one, "key": first + at}) for at, one in enumerate(done)])


async def _count(sql: Sql, connection: Connection, moved: Sequence[Parcel], sign: int) -> None:
    await acts.count(sql, connection, parcels.changes(moved, sign))


async def _keys(connection: Connection, statement: str, number: int) -> list[int]:
    return [row["key"] for row in await _rows(connection, statement, {"number": number})]


async def _rows(connection: Connection, statement: str, values: Values) -> list[dict[str, Any]]:
    return await (await connection.execute(statement, values)).fetchall()


async def _each(connection: Connection, statement: str, rows: Iterable[Values]) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(statement, list(rows))


def _clean(columns: Columns) -> dict[str, Any]:
    texts = {name: storable(value) for name, value in columns.items() if isinstance(value, str)}
    return {**columns, **texts, **{name: fitting(texts[name]) for name in _INDEXED & texts.keys()}}
