"""A session of a node's own, which the server ends when the node does: it holds the node's name and, on one node, the lead.

In: how to connect. Out: whether this node leads, whether its name is its own, a word when conditions changed. Never: two leaders at a time; a lead
that a dead node keeps: a session that says nothing is ended by the server.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import psycopg
import structlog
from psycopg import sql

from qboxrelay.model.clock import Clock
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.faults import as_spool_error
from qboxrelay.spool.shared import SILENT_AFTER
from qboxrelay.spool.statements import load_statements

log = structlog.get_logger()

_EVERY_SECONDS = 2.0
"""Between two tries to lead: so soon a leader that died is followed by another."""
_ANSWER_SECONDS = 5.0
"""Longest wait for the server, and as long again for it to end a statement: together less than it waits for this node."""
_AGAIN = timedelta(seconds=1)


class Watch:
    """`open`, then `run` until cancelled, then `close`. `leads` is False whenever that is not known to be true."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, schema: str, name: str, clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._sql = load_statements("postgres")
        self._leader, self._name = f"qboxrelay leader {schema}", f"qboxrelay node {schema} {name}"
        self.channel = f"{schema}_conditions"
        self._connection: Connection | None = None
        self._noticed = asyncio.Event()
        self.named = False
        """Whether this session holds the name: no other that has it is connected."""
        self.leads = False

    async def open(self) -> None:
        """Raises `SpoolError`."""
        connection = await self._connect()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await connection.execute(
                    self._sql["watch_settings"], {"idle_ms": round(SILENT_AFTER.total_seconds() * 1000)}
                )
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.channel)))
                self.named = await self._locked(connection, self._name)
        except (psycopg.Error, OSError) as error:
            await connection.close()
            raise as_spool_error(error) from None
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def take_name(self) -> None:
        """Try again. Raises `SpoolError`."""
        try:
            if self._connection is not None and not self.named:
                self.named = await self._locked(self._connection, self._name)
        except (psycopg.Error, OSError) as error:
            raise as_spool_error(error) from None

    async def run(self) -> None:
        while True:
            try:
                if self._connection is None:
                    await self.open()
                    # Something may have been said while nobody listened.
                    self._noticed.set()
                await self._hold()
            except (psycopg.Error, OSError, SpoolError) as error:
                log.warning("node.session_lost", error=str(as_spool_error(error)))
            finally:
                await self.close()
            await self._clock.sleep(_AGAIN)

    async def noticed(self) -> None:
        """Return once somebody said that conditions changed."""
        await self._noticed.wait()
        self._noticed.clear()

    async def close(self) -> None:
        """Give up what is held: the others see it at once."""
        self.leads = self.named = False
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    async def _hold(self) -> None:
        """Until the session ends."""
        connection = self._connection
        assert connection is not None
        while True:
            # A server that is silent here may have ended the session, and given the lead to another node.
            async with asyncio.timeout(_ANSWER_SECONDS):
                self.named = self.named or await self._locked(connection, self._name)
                if self.leads:
                    await connection.execute("SELECT 1")
                elif await self._locked(connection, self._leader):
                    self.leads = True
                    log.info("node.leads", hint="this node exports the figures of the whole spool")
            async for _ in connection.notifies(timeout=_EVERY_SECONDS, stop_after=1):
                self._noticed.set()

    async def _locked(self, connection: Connection, what: str) -> bool:
        row = await (await connection.execute(self._sql["try_lock"], {"what": what})).fetchone()
        return row is not None and bool(row["locked"])
