"""The pool of connections to the spool's server.

In: a URL, and blocks of work. Out: connections for them, whose errors are the port's. Never: a wait without end, whatever the server does; an
error of the driver, or a secret, on the way out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Self

import psycopg
from psycopg import errors
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from qboxrelay.spool.port import SpoolError, SpoolUnreachable
from qboxrelay.spool.postgres import migrations
from qboxrelay.spool.postgres.connecting import (
    Access,
    BinaryCursor,
    Connection,
    Severable,
    access,
    connect,
    prepare,
    require_alive,
    sever,
)
from qboxrelay.spool.postgres.failures import Failures
from qboxrelay.spool.postgres.faults import as_spool_error

CONNECT_TIMEOUT, STATEMENT_TIMEOUT = timedelta(seconds=5), timedelta(seconds=20)
_RELAY, _BESIDE = 8, 2
"""Connections of a relay whose settings do not say how many, and of a command that looks at a spool."""
_UNUSABLE = (errors.ReadOnlySqlTransaction, errors.FeatureNotSupported)
"""After these the connection is not used again: the next one may lead to another server, or has no plans made for another schema."""
_STATEMENTS_OF_A_START = 10
"""As many times statement_timeout a check or a migration may take in all."""
_NUMBERS = count(1)
_CLOSING, _CUTTING, _RECONNECT = 5.0, 0.1, 1.0


class Database:
    """Connections to one schema of one database. `open` is the way to make one."""

    def __init__(self, wanted: Access, *, pool_size: int, now_ms: Callable[[], int] | None) -> None:
        self._access = wanted
        self._now_ms = now_ms
        self._closed = False
        self._wait = wanted.longest_connecting.total_seconds()
        # The server ends a statement by itself; a server that does not is not waited for any longer.
        self._deadline = 2 * wanted.statement_timeout.total_seconds() + self._wait
        self._troubles = 0
        self._answered = 0
        self._in_use: set[Connection] = set()
        self._cutting: asyncio.Task[None] | None = None
        name = f"spool-{next(_NUMBERS)}"
        self._failures = Failures(name)
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            connection_class=Severable,
            # Asked for each connection: which of several servers is tried first changes.
            kwargs=lambda: {
                **wanted.servers.parameters(),
                "begun": wanted.servers.order,
                "autocommit": True,
                "row_factory": dict_row,
                "cursor_factory": BinaryCursor,
            },
            min_size=1,
            max_size=pool_size,
            open=False,
            configure=self._configure,
            check=require_alive,
            timeout=self._wait,
            # Whoever needs a connection has another one tried at once; between two tries the pool would wait longer and longer.
            reconnect_timeout=_RECONNECT,
            name=name,
        )

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        schema: str = "qboxrelay",
        password: str | None = None,
        pool_size: int | None = None,
        make: bool = True,
        connect_timeout: timedelta = CONNECT_TIMEOUT,
        statement_timeout: timedelta = STATEMENT_TIMEOUT,
        now_ms: Callable[[], int] | None = None,
    ) -> Self:
        """Make or migrate the spool, then open the pool; commands beside relays do not `make` it, and hear of it where there is none of this
        version. `now_ms` takes the place of the server's clock (see `now_ms`). Raises `SpoolError`.
        """
        wanted = access(
            url,
            schema=schema,
            password=password,
            connect_timeout=connect_timeout,
            statement_timeout=statement_timeout,
        )
        await _once(wanted, migrations.migrate if make else migrations.require_current)
        database = cls(wanted, pool_size=pool_size or (_RELAY if make else _BESIDE), now_ms=now_ms)
        await database._pool.open()
        return database

    @property
    def schema(self) -> str:
        return self._access.schema

    @property
    def place(self) -> str:
        """For people: where it is, without any secret."""
        return self._access.place

    def now_ms(self) -> int | None:
        """For the SQL function `server_ms`: None lets the server's clock decide, which all nodes share; tests bring their own."""
        return self._now_ms() if self._now_ms is not None else None

    @property
    def in_use(self) -> int:
        """Connections that somebody works with."""
        return len(self._in_use)

    def troubles(self) -> int:
        """How often this node found the server away."""
        return self._troubles

    @asynccontextmanager
    async def reading(self, within: float | None = None) -> AsyncIterator[Connection]:
        """A connection where each statement stands for itself, and is committed by itself. Rows by name. After `within` seconds, the wait for
        the connection included, it is cut off. Raises `SpoolError`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._deadline if within is None else within)
        connection = await self._taken(self._wait if within is None else min(self._wait, within))
        self._failures.latest = ""
        severing = loop.call_at(until, sever, connection)
        self._in_use.add(connection)
        if self._cutting is not None:
            # It was waited for since before the cut.
            sever(connection)
        try:
            yield connection
            self._answered += 1
        except (psycopg.Error, OSError) as error:
            if isinstance(error, _UNUSABLE):
                await connection.close()
            raise self._troubled(as_spool_error(error)) from None
        finally:
            # Also when the caller goes away at this very moment.
            await asyncio.shield(self._give_back(connection, severing))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        """One transaction, committed at the end, undone by any error. Rows by name. Raises `SpoolError`."""
        async with self.reading() as connection, connection.transaction():
            yield connection

    async def listening(self) -> Connection:
        """A connection of the caller's own, beside the pool. Raises `SpoolError`."""
        return await connect(self._access)

    def cut_off(self) -> None:
        """The server is not waited for any longer, by nobody: what is under way ends, as if the connection broke, and nothing more begins."""
        if self._cutting is None:
            self._cutting = asyncio.create_task(self._pool.close(_CUTTING), name="spool-cut-off")
            for connection in self._in_use:
                sever(connection)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await (self._pool.close(_CLOSING) if self._cutting is None else self._cutting)
            self._failures.close()

    async def _taken(self, wait: float) -> Connection:
        if self._closed:
            raise SpoolError("the spool is closed")
        if self._cutting is not None:
            raise SpoolUnreachable("the relay stops, and does not wait for the database any longer")
        answered = self._answered
        try:
            return await self._given(wait)
        except PoolClosed:
            raise SpoolError("the spool is closed") from None
        except (PoolTimeout, TooManyRequests):
            why = self._failures.latest or "it does not answer, or pool_size is too small"
            away = SpoolUnreachable(f"no connection to the database {self.place} within {wait:.3g} s: {why}")
            # A server that meanwhile served others is well, and the pool too small.
            raise (self._troubled(away) if self._answered == answered else away) from None

    async def _given(self, wait: float) -> Connection:
        """By the pool. It waits with asyncio.wait_for, which in Python 3.11 forgets that the caller is to go away when what it waits for comes at
        that moment: the caller would go on, and whoever waits for its end would wait for ever.
        """
        caller = asyncio.current_task()
        assert caller is not None
        before = caller.cancelling()
        try:
            connection = await self._pool.getconn(wait)
        except Exception:
            if caller.cancelling() > before:
                raise asyncio.CancelledError from None
            raise
        if caller.cancelling() > before:
            await asyncio.shield(self._pool.putconn(connection))
            raise asyncio.CancelledError
        return connection

    async def _give_back(self, connection: Connection, severing: asyncio.TimerHandle) -> None:
        """To the pool, which has the server undo what the caller left begun: that is waited for no longer than the caller would have."""
        try:
            await self._pool.putconn(connection)
        finally:
            severing.cancel()
            self._in_use.discard(connection)

    def _troubled(self, error: SpoolError) -> SpoolError:
        if isinstance(error, SpoolUnreachable):
            self._troubles += 1
        return error

    async def _configure(self, connection: Connection) -> None:
        await prepare(connection, self._access)


async def _once(wanted: Access, work: Callable[[Connection, str], Awaitable[None]]) -> None:
    """On a connection of its own, with its errors in the port's words."""
    connection = await connect(wanted)
    longest = _STATEMENTS_OF_A_START * wanted.statement_timeout.total_seconds()
    severing = asyncio.get_running_loop().call_later(longest, sever, connection)
    try:
        await work(connection, wanted.schema)
    except (psycopg.Error, OSError) as error:
        raise as_spool_error(error) from None
    finally:
        severing.cancel()
        await connection.close()
