"""A way to the tests' PostgreSQL server that breaks when told to, and spools that are opened over it.

In: a proxy, a folder. Out: open spools, and what is stored, seen past the proxy. Never: a shared schema.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from qboxrelay.model.clock import Clock, SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.fallback.local import Local, path_in
from qboxrelay.spool.fallback.spool import FallbackSpool
from qboxrelay.spool.port import SpoolUnreachable
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.spool import PostgresSpool
from tests.support.postgres import shared_connection, unused_schema
from tests.support.processes import HOST
from tests.support.tcp_proxy import TcpProxy

T = TypeVar("T")
PATIENT = SpoolSettings(commit_timeout="60s")
HASTY = SpoolSettings(commit_timeout="2s")


class Way:
    """To a schema of the tests' server, through a proxy."""

    def __init__(self, proxy: TcpProxy, folder: Path) -> None:
        self.proxy = proxy
        self.schema = unused_schema()
        self.folder = folder

    @asynccontextmanager
    async def open(
        self, settings: SpoolSettings, node: str = "node", *, clock: Clock | None = None
    ) -> AsyncIterator[PostgresSpool]:
        spool = await self._server(settings, node, clock or SystemClock())
        try:
            yield spool
        finally:
            self.proxy.heal()
            await spool.close()

    @asynccontextmanager
    async def open_with_fallback(self, settings: SpoolSettings) -> AsyncIterator[FallbackSpool]:
        clock = SystemClock()
        local = await Local.open(path_in(self.folder), settings=settings, clock=clock)
        spool = await FallbackSpool.open(local, open_server=lambda: self._server(settings, "node", clock), clock=clock)
        try:
            yield spool
        finally:
            self.proxy.heal()
            await spool.close()

    async def _server(self, settings: SpoolSettings, node: str, clock: Clock) -> PostgresSpool:
        url = f"postgresql://relay@{HOST}:{self.proxy.port}/postgres"
        database = await Database.open(url, schema=self.schema, connect_timeout=timedelta(seconds=30))
        return await PostgresSpool.open(
            database, data_dir=self.folder / node, node=node, settings=settings, clock=clock
        )

    def stored(self) -> list[str]:
        rows = shared_connection().execute(f"SELECT id FROM {self.schema}.submissions ORDER BY key".encode())
        return [name for (name,) in rows]

    def counted(self) -> int:
        row = shared_connection().execute(f"SELECT coalesce(sum(messages), 0) FROM {self.schema}.depth".encode())
        return int(row.fetchall()[0][0])


async def until_it_works(work: Callable[[], Awaitable[T]]) -> T:
    """Storing the same mail again changes nothing."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await work()
            except SpoolUnreachable:
                await asyncio.sleep(0.05)


async def until(condition: Callable[[], object], *, seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a test's patience: nobody tells it
            await asyncio.sleep(0.02)
