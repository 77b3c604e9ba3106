"""What the conformance suite needs of a backend, and the little language its tests are written in.

In: a folder or a server. Out: open spools, counted rows, mails. Never: knowledge of how a backend does it outside its class.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Protocol

from qboxrelay.model.submission import Batch, Claimed, State, Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import RequestResult, Result, Spool
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.leasing import LOOK_AGAIN
from qboxrelay.spool.postgres.queue import PostgresQueue
from qboxrelay.spool.postgres.spool import PostgresSpool
from qboxrelay.spool.queue import Queue
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.spool.sqlite.queue import SqliteQueue
from tests.support.postgres import require_postgres, shared_cluster, shared_connection, unused_schema
from tests.support.schemas import line_up_all

P = ParamSpec("P")
ACCOUNT = "default"
LEASE = timedelta(minutes=5)
HORIZON = timedelta(hours=4)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACCEPTED = RequestResult(status=202, request_id="request-1")

Counted = dict[State, tuple[int, int]]
"""Messages and bytes by state, found by looking at every row."""


def scenario(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class ManualClock:
    """Stands still until told; wall time may jump, monotonic time only goes on."""

    def __init__(self) -> None:
        self.wall = START
        self.ticks = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    async def sleep(self, delay: timedelta) -> None:
        self.advance(delay)

    def advance(self, delay: timedelta) -> None:
        self.wall += delay
        self.ticks += delay.total_seconds()

    def jump(self, delay: timedelta) -> None:
        """Somebody sets the wall clock."""
        self.wall += delay


class Spools(Protocol):
    """One store of one backend; opened as often as a test likes, once at a time."""

    clock: ManualClock
    look_again: timedelta
    """Until the next look at a lease that ran out, which a claim would have ended."""

    def open(
        self, *, settings: SpoolSettings | None = None, expired_into: State = State.QUEUED
    ) -> AbstractAsyncContextManager[Spool]: ...

    def queue(self) -> Queue:
        """In an operator's hands, beside whoever has the spool open."""
        ...

    def counted(self) -> Counted: ...

    def drop_content(self, id_: str) -> None:
        """Damage: the content of one submission is gone."""
        ...


class SqliteSpools:
    """In a folder. Closing writes nothing that a crash would not have left, so closing stands for a crash, too."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.look_again = timedelta()
        self.path = folder / "spool.db"

    @asynccontextmanager
    async def open(
        self, *, settings: SpoolSettings | None = None, expired_into: State = State.QUEUED
    ) -> AsyncIterator[Spool]:
        spool = await SqliteSpool.open(
            self.path,
            settings=settings or SpoolSettings(),
            clock=self.clock,
            expired_into=expired_into,
            horizon=HORIZON,
        )
        try:
            yield spool
        finally:
            await spool.close()

    def queue(self) -> Queue:
        return SqliteQueue(self.path, clock=self.clock)

    def counted(self) -> Counted:
        line_up_all(self.path)
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT state, count(*), sum(payload_bytes) FROM submissions GROUP BY state")
            return {State(state): (messages, size) for state, messages, size in rows}

    def drop_content(self, id_: str) -> None:
        line_up_all(self.path)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("DELETE FROM payloads WHERE key = (SELECT key FROM submissions WHERE id = ?)", (id_,))
            connection.commit()


class PostgresSpools:
    """In a schema of the tests' own server, with leases by the tests' clock. Of one node, unless a test opens others beside it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.look_again = LOOK_AGAIN
        self.folder = folder
        self.schema = unused_schema()
        self.url = shared_cluster().url()
        self._opened: list[Database] = []

    @asynccontextmanager
    async def open(
        self, *, settings: SpoolSettings | None = None, expired_into: State = State.QUEUED, node: str = "node"
    ) -> AsyncIterator[PostgresSpool]:
        database = await Database.open(self.url, schema=self.schema, now_ms=self.lease_time)
        spool = await PostgresSpool.open(
            database,
            data_dir=self.folder / node,
            node=node,
            settings=settings or SpoolSettings(),
            clock=self.clock,
            expired_into=expired_into,
            horizon=HORIZON,
        )
        self._opened.append(database)
        try:
            yield spool
        finally:
            self._opened.remove(database)
            await spool.close()

    def queue(self) -> Queue:
        if self._opened:
            return PostgresQueue(self._opened[0], clock=self.clock)
        return PostgresQueue(Briefly(self.url, self.schema), clock=self.clock)

    def counted(self) -> Counted:
        rows = shared_connection().execute(
            f"SELECT state, count(*), sum(payload_bytes)::bigint FROM {self.schema}.states GROUP BY state".encode()
        )
        return {State(state): (messages, size) for state, messages, size in rows}

    def drop_content(self, id_: str) -> None:
        key = f"SELECT key FROM {self.schema}.submissions WHERE id = %s"
        shared_connection().execute(f"DELETE FROM {self.schema}.payloads WHERE key = ({key})".encode(), (id_,))

    def lease_time(self) -> int:
        """The server's clock, which nobody sets: milliseconds."""
        return round(self.clock.monotonic() * 1000)


class Briefly:
    """A command's way to the database: what is opened ends with its use."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        database = await Database.open(self._url, schema=self._schema, make=False)
        try:
            async with database.reading() as connection:
                yield connection
        finally:
            await database.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        async with self.reading() as connection, connection.transaction():
            yield connection


BACKENDS: "dict[str, Callable[[Path], Spools]]" = {"sqlite": SqliteSpools, "postgres": PostgresSpools}


def spools_of(backend: str, folder: Path) -> Spools:
    """Skips the test where the backend is not to be had."""
    if backend == "postgres":
        require_postgres()
    return BACKENDS[backend](folder)


def mail(
    name: str,
    *,
    client: str = "ip:192.0.2.1",
    payload: bytes = b'{"subject":"x"}',
    account: str = ACCOUNT,
    priority: int = 0,
) -> Submission:
    """A submission with the id `<name>-1`."""
    return Submission(
        id=f"{name}-1",
        transaction_id=name,
        account=account,
        client_key=client,
        priority=priority,
        payload=payload,
        received_at=START,
        envelope_sender="robot@example.com",
        recipients=("someone@example.net", "ünicode@example.net"),
        notify_never=True,
        is_notice=True,
        from_address="robot@example.com",
        subject="Häppy",
        message_id_header="<1@example.com>",
        client_address="192.0.2.1",
        client_helo="printer",
        listener="default",
    )


async def claim(spool: Spool, *, messages: int = 500, size: int = 1_000_000, account: str = ACCOUNT) -> list[Claimed]:
    """The submissions of one claim, none when nothing is due."""
    batch = await take(spool, messages=messages, size=size, account=account)
    return list(batch.submissions) if batch else []


async def take(spool: Spool, *, messages: int = 500, size: int = 1_000_000, account: str = ACCOUNT) -> Batch | None:
    return await spool.claim(account, max_messages=messages, max_bytes=size, lease=LEASE)


async def taken(spool: Spool, *, messages: int = 500, size: int = 1_000_000) -> Batch:
    batch = await take(spool, messages=messages, size=size)
    assert batch is not None
    return batch


def sent(claimed: Claimed) -> Result:
    return Result(
        key=claimed.key, state=State.SENT, outcome="accepted", message_id=f"{claimed.id}@api", submitted_at="now"
    )


def failed(claimed: Claimed) -> Result:
    return Result(
        key=claimed.key, state=State.FAILED, outcome="refused", reason="validation_error", text="no such field"
    )


def retry(claimed: Claimed, at: datetime, *, outcome: str = "deferred", counted: bool = True) -> Result:
    return Result(
        key=claimed.key, state=State.QUEUED, outcome=outcome, reason="http_503", next_attempt_at=at, counted=counted
    )


def held(claimed: Claimed) -> Result:
    return Result(key=claimed.key, state=State.HELD, outcome="unknown", reason="timeout")


def names(submissions: Iterable[Claimed]) -> list[str]:
    return [claimed.transaction_id for claimed in submissions]


async def counts(spool: Spool) -> Counted:
    """The spool's own figures, in the form of `Spools.counted`."""
    depth = await spool.depth()
    return {state: (depth.messages[state], depth.bytes[state]) for state in State if depth.messages.get(state)}
