"""The one place that knows which backends there are: `[spool] url` names one.

In: settings. Out: the ports, opened on what the url names. Never: SQL.
"""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import State
from qboxrelay.settings.paths import is_postgres, spool_path
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.secrets import SecretError, read_secret
from qboxrelay.spool.fallback.local import Local, path_in
from qboxrelay.spool.fallback.nodes import LateShared
from qboxrelay.spool.fallback.spool import FallbackSpool
from qboxrelay.spool.parcels import Parcels, Survey
from qboxrelay.spool.port import Fact, Spool, SpoolError
from qboxrelay.spool.queue import Queue
from qboxrelay.spool.shared import Alone, Nodes, Shared, Work
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.spool.sqlite.facts import FactsBeside
from qboxrelay.spool.sqlite.parcels import SqliteParcels, survey_beside
from qboxrelay.spool.sqlite.queue import SqliteQueue

if TYPE_CHECKING:
    from qboxrelay.spool.postgres.connecting import Connection
    from qboxrelay.spool.postgres.database import Database
    from qboxrelay.spool.postgres.opening import Looked
    from qboxrelay.spool.postgres.spool import PostgresSpool

log = structlog.get_logger()

_FOR_SHARED = 3
"""Connections beside the spool's own: a turn must not wait until a large commit is through."""


class Facts(Protocol):
    """What other parts keep in the spool, beside a relay that may be running. Raises `SpoolError` where there is no spool yet."""

    async def remember(self, name: str, value: bytes) -> None: ...

    async def recall(self, name: str, *, after: int = 0) -> Fact | None: ...


async def open_spool(
    settings: Settings,
    *,
    clock: Clock,
    expired_into: State,
    horizon: timedelta,
    on_commit: Callable[[int, float], None],
    shared: Shared | None = None,
) -> Spool:
    """The relay's own; `shared` is what `open_shared` gave. Raises `SpoolLocked`, `SpoolError`."""
    if is_postgres(settings):
        make = partial(_open_postgres, settings, clock, expired_into, horizon, on_commit)
        if has_fallback(settings):
            return await _open_fallback(settings, make, shared, clock=clock, on_commit=on_commit)
        await _tell_of_fallback(settings)
        return await make()
    return await SqliteSpool.open(
        spool_path(settings),
        settings=settings.spool,
        clock=clock,
        expired_into=expired_into,
        horizon=horizon,
        on_commit=on_commit,
    )


async def _open_postgres(
    settings: Settings,
    clock: Clock,
    expired_into: State,
    horizon: timedelta,
    on_commit: Callable[[int, float], None],
) -> "PostgresSpool":
    database = await open_database(settings, make=True)
    from qboxrelay.spool.postgres.spool import PostgresSpool

    return await PostgresSpool.open(
        database,
        data_dir=settings.relay.data_dir,
        node=node_name(settings),
        settings=settings.spool,
        clock=clock,
        expired_into=expired_into,
        horizon=horizon,
        on_commit=on_commit,
    )


async def _open_fallback(
    settings: Settings,
    make: Callable[[], Awaitable["PostgresSpool"]],
    shared: Shared | None,
    *,
    clock: Clock,
    on_commit: Callable[[int, float], None],
) -> Spool:
    async def open_server() -> "PostgresSpool":
        if isinstance(shared, LateShared):
            await shared.enter()
        return await make()

    local = await Local.open(fallback_path(settings), settings=settings.spool, clock=clock, on_commit=on_commit)
    return await FallbackSpool.open(local, open_server=open_server, clock=clock)


async def _tell_of_fallback(settings: Settings) -> None:
    """Mail that was answered 250 must not be forgotten because a setting changed."""
    if waiting := await fallback_waiting(settings):
        log.error(
            "fallback.left",
            messages=waiting,
            file=str(fallback_path(settings)),
            hint='set fallback = "local" in [spool] until it is empty, or move it with qboxrelay spool copy',
        )


async def fallback_waiting(settings: Settings) -> int:
    """How much mail waits in the file of this machine, beside a relay that may be running. Raises `SpoolError`."""
    path = fallback_path(settings)
    if not is_postgres(settings) or not await asyncio.to_thread(path.exists):
        return 0
    return (await survey_beside(path)).messages


def open_queue(settings: Settings, *, clock: Clock) -> Queue:
    """For an operator, beside relays that may be running; whoever opens it closes it."""
    if not is_postgres(settings):
        return SqliteQueue(spool_path(settings), clock=clock)
    from qboxrelay.spool.postgres.queue import PostgresQueue

    return PostgresQueue.beside(lambda: open_database(settings, make=False), clock=clock)


def queue_of(spool: Spool, settings: Settings, *, clock: Clock) -> Queue:
    """For the pages of a relay that has the spool open."""
    if not is_postgres(settings):
        return SqliteQueue(spool_path(settings), clock=clock)
    from qboxrelay.spool.postgres.queue import PostgresQueue
    from qboxrelay.spool.postgres.spool import PostgresSpool

    if isinstance(spool, PostgresSpool):
        return PostgresQueue(spool.database, clock=clock)
    if isinstance(spool, FallbackSpool):
        return PostgresQueue(_LateReach(spool), clock=clock)
    return open_queue(settings, clock=clock)


class _LateReach:
    """The connections of a spool whose server may not have been reached yet."""

    def __init__(self, spool: FallbackSpool) -> None:
        self._spool = spool

    def reading(self) -> AbstractAsyncContextManager["Connection"]:
        return self._database.reading()

    def writing(self) -> AbstractAsyncContextManager["Connection"]:
        return self._database.writing()

    @property
    def _database(self) -> "Database":
        from qboxrelay.spool.postgres.spool import PostgresSpool

        server = self._spool.server
        assert isinstance(server, PostgresSpool)
        return server.database


def open_facts(settings: Settings) -> Facts:
    if not is_postgres(settings):
        return FactsBeside(spool_path(settings))
    from qboxrelay.spool.postgres.facts import PostgresFactsBeside

    return PostgresFactsBeside(lambda: open_database(settings, make=False))


async def open_shared(settings: Settings, *, version: str, clock: Clock, work: Callable[[], Work]) -> Shared:
    """What this relay agrees on with others. To be opened before the spool, which takes back what a dead relay of the same name had under way.
    Raises `SpoolLocked` where another relay of that name runs, `SpoolError`.
    """
    if not is_postgres(settings):
        return Alone()

    async def enter() -> Shared:
        database = await open_database(settings, make=True, pool_size=_FOR_SHARED)
        from qboxrelay.spool.postgres.nodes import PostgresShared

        return await PostgresShared.enter(
            database, name=node_name(settings), instance=secrets.token_hex(8), version=version, clock=clock, work=work
        )

    # With a fallback the spool enters, when it reaches the server.
    return LateShared(enter) if has_fallback(settings) else await enter()


def open_nodes(settings: Settings) -> Nodes | None:
    """For a command beside relays; None where a relay has its spool for itself."""
    if not is_postgres(settings):
        return None
    from qboxrelay.spool.postgres.nodes import PostgresNodes

    return PostgresNodes(lambda: open_database(settings, make=False))


async def open_parcels(settings: Settings, *, now: datetime, make: bool) -> Parcels:
    """To move mail from or to it; `make` it where there is none. Raises `SpoolLocked` where a relay has its file, `SpoolError`."""
    if not is_postgres(settings):
        return await SqliteParcels.open(spool_path(settings), now=now, make=make)
    database = await open_database(settings, make=make)
    from qboxrelay.spool.postgres.parcels import PostgresParcels

    return PostgresParcels(database, now=now)


async def survey(settings: Settings, *, now: datetime) -> Survey:
    """How much there is to move, beside relays that may be running."""
    if not is_postgres(settings):
        return await survey_beside(spool_path(settings))
    parcels = await open_parcels(settings, now=now, make=False)
    try:
        return await parcels.survey()
    finally:
        await parcels.close()


def place_of(settings: Settings) -> str:
    """Two settings with the same place mean the same spool."""
    if is_postgres(settings):
        return f"{settings.spool.url} {settings.spool.database_schema}"
    return str(spool_path(settings).resolve())


def has_fallback(settings: Settings) -> bool:
    return is_postgres(settings) and settings.spool.fallback == "local"


def fallback_path(settings: Settings) -> Path:
    return path_in(settings.relay.data_dir)


def node_name(settings: Settings) -> str:
    """What a relay is called among those that share a spool."""
    return settings.relay.name or socket.gethostname()


async def open_database(settings: Settings, *, make: bool, pool_size: int | None = None) -> "Database":
    """The server's; made or migrated only where asked for. Raises `SpoolError`."""
    try:
        from qboxrelay.spool.postgres.database import Database
    except ImportError:
        raise SpoolError(_NO_DRIVER) from None
    size = pool_size or (settings.spool.pool_size if make else None)
    return await Database.open(settings.spool.url, make=make, pool_size=size, **_reach(settings))


async def look_at_server(settings: Settings) -> "Looked":
    """What can be seen of the server, without making anything. Raises `SpoolError`."""
    try:
        from qboxrelay.spool.postgres.connecting import access
        from qboxrelay.spool.postgres.opening import look
    except ImportError:
        raise SpoolError(_NO_DRIVER) from None
    return await look(access(settings.spool.url, **_reach(settings)))


def _reach(settings: Settings) -> dict[str, Any]:
    spool = settings.spool
    return {
        "schema": spool.database_schema,
        "password": _password(spool.password_file),
        "connect_timeout": spool.connect_timeout,
        "statement_timeout": spool.statement_timeout,
    }


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return read_secret(file).reveal()
    except SecretError as error:
        raise SpoolError(f"no password for the database: {error}") from None


_NO_DRIVER = "a PostgreSQL spool needs the driver: pip install 'qboxrelay[postgres]'"
