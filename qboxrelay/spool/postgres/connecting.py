"""How a connection to the server is made and set, so that a dead server is noticed and a commit is durable.

In: a URL, a password, times. Out: connection parameters, and connections that are set. Never: a connection that commits less safely than
the server's own default, or one whose death nobody notices.
"""

import asyncio
import contextlib
import logging
import os
import re
import select
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection, AsyncCursor, pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.types.array import ListBinaryDumper
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from qboxrelay.spool.port import SpoolError, SpoolUnreachable
from qboxrelay.spool.postgres.faults import as_spool_error, text_of
from qboxrelay.spool.postgres.servers import Order, Servers

Connection = AsyncConnection[DictRow]

SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")
"""What needs no quotes, with room for what is made of it."""

_PREPARED = 300
"""Statements that the server keeps prepared for one connection: all that there are."""
_SAFE = ("on", "remote_apply")
"""Values of synchronous_commit that are kept as the server has them; anything else becomes `on`."""

_SETTINGS = """
SELECT set_config('search_path', %(schema)s, false), set_config('statement_timeout', %(timeout)s, false), set_config('jit', 'off', false),
  set_config('enable_seqscan', 'off', false), set_config('random_page_cost', '1.1', false), set_config('idle_in_transaction_session_timeout', %(idle)s, false),
  set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = ANY (%(safe)s) THEN current_setting('synchronous_commit')
                                        ELSE 'on' END, false)
"""
"""Statistics of a queue are always old: its small tables must not be read from end to end once they are large."""

_TORN = (
    "the URL of the spool cannot be read: its port is no number, or its host or database has an @. "
    "In a password write / as %2F, @ as %40 and % as %25, or put it into password_file"
)


class BinaryCursor(AsyncCursor[DictRow]):
    """Rows by name, values in the server's own form: bytes come without being spelled out."""

    def __init__(self, connection: Connection, **options: Any) -> None:
        super().__init__(connection, **options)
        self.format = pq.Format.BINARY


class Severable(AsyncConnection[DictRow]):
    """Whoever goes away in the middle of a statement goes away at once: the driver would ask the server to cancel it, and wait for that. That the
    connection is severed then is no news: what the driver logs of it is left out.
    """

    begun: Order | None = None
    """With which order of servers."""

    @classmethod
    async def connect(cls, conninfo: str = "", *, begun: Order | None = None, **options: Any) -> Self:  # type: ignore[override] # one more
        """`begun` is kept with the connection, all else is the driver's."""
        made = await super().connect(conninfo, **options)
        made.begun = begun
        return made

    async def cancel_safe(self, *, timeout: float = 0.0) -> None:  # noqa: ASYNC109 - the driver's own
        del timeout
        sever(self)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("query cancellation interrupted")


logging.getLogger("psycopg").addFilter(_is_news)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a spool. The password is no part of what it shows."""

    servers: Servers
    database: str
    schema: str
    statement_timeout: timedelta
    connect_timeout: timedelta

    def __repr__(self) -> str:
        return f"Access({self.place!r}, schema={self.schema!r})"

    @property
    def place(self) -> str:
        """For people: where it is, without any secret."""
        return f"{self.servers.place}/{self.database}"

    @property
    def longest_connecting(self) -> timedelta:
        """Until each of the servers had its time to answer."""
        return self.servers.count * self.connect_timeout


def access(
    url: str, *, schema: str, password: str | None, connect_timeout: timedelta, statement_timeout: timedelta
) -> Access:
    """Raises `SpoolError` for a URL that cannot be meant."""
    if not SCHEMA.fullmatch(schema):
        raise SpoolError(f"{schema!r} cannot be a schema: write lower-case letters, digits and _")
    try:
        given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        # The driver's text may quote the URL with its password.
        raise SpoolError("the URL of the spool cannot be read: write postgresql://user@host/database") from None
    if _torn(given):
        raise SpoolError(_TORN)
    dead_after = max(1, round(connect_timeout.total_seconds()))
    parameters: dict[str, Any] = {
        "application_name": "qboxrelay",
        # Of several hosts, and after a failover: the one that takes writes.
        "target_session_attrs": "read-write",
        "connect_timeout": max(2, dead_after),
        "keepalives": 1,
        "keepalives_idle": dead_after,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 1000 * (dead_after + round(statement_timeout.total_seconds())),
    } | given
    if password is not None:
        parameters["password"] = password
    return Access(
        servers=Servers(parameters),
        database=str(parameters.get("dbname") or parameters.get("user") or ""),
        schema=schema,
        statement_timeout=statement_timeout,
        connect_timeout=connect_timeout,
    )


def _torn(given: Mapping[str, Any]) -> bool:
    """Whether the driver took a part of the password for something else, which is shown. A socket's name may begin with @."""
    ports = str(given.get("port", "")).split(",")
    hosts = str(given.get("host", "")).split(",")
    return (
        any(port and not (port.isascii() and port.isdigit()) for port in ports)
        or any("@" in host[1:] for host in hosts)
        or "@" in str(given.get("dbname", ""))
    )


async def connect(wanted: Access) -> Connection:
    """One connection beside the pool. Raises `SpoolError`."""
    try:
        connection = await Severable.connect(
            **wanted.servers.parameters(),
            begun=wanted.servers.order,
            autocommit=True,
            row_factory=dict_row,
            cursor_factory=BinaryCursor,
        )
    except (psycopg.Error, OSError) as error:
        raise SpoolUnreachable(f"cannot reach the database {wanted.place}: {text_of(error)}") from None
    try:
        await prepare(connection, wanted)
    except (psycopg.Error, OSError) as error:
        await connection.close()
        raise as_spool_error(error) from None
    except BaseException:
        await connection.close()
        raise
    return connection


async def prepare(connection: Connection, wanted: Access) -> None:
    """Set what every connection needs."""
    connection.prepared_max = _PREPARED
    # One width for every number, or each list of numbers would be another type and another statement.
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    # The driver's own choice for lists is text, where bytes are spelled out.
    connection.adapters.register_dumper(list, ListBinaryDumper)
    connection.prepare_threshold = 2
    milliseconds = round(wanted.statement_timeout.total_seconds() * 1000)
    values = {
        "schema": wanted.schema,
        "timeout": str(milliseconds),
        # A node that is stopped in the middle of a transaction holds its rows no longer than this.
        "idle": str(2 * milliseconds),
        "safe": list(_SAFE),
    }
    severing = asyncio.get_running_loop().call_later(wanted.connect_timeout.total_seconds(), sever, connection)
    try:
        await connection.execute(_SETTINGS, values)
    finally:
        severing.cancel()
    there = connection.info
    begun = connection.begun if isinstance(connection, Severable) else None
    if not wanted.servers.worked(there.host, there.hostaddr, there.port, begun=begun):
        raise psycopg.OperationalError("another server took over while the connection was made")


def sever(connection: Connection) -> None:
    """End a connection whose server keeps silent: whoever waits for it hears of it at once."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as copy:
        copy.shutdown(socket.SHUT_RDWR)


async def require_alive(connection: Connection) -> None:
    """Without a round trip: what an idle connection has to say is that it ended. It is closed then. Raises psycopg.OperationalError."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        await connection.close()
        raise psycopg.OperationalError("the server closed the connection")
