"""Where new mail goes: to the server, or into the file, until what waits there has been moved.

In: mail, the server's trouble. Out: mail that is safe in one of the two. Never: new mail in the server before what waits in the file; a wait for a
server that is known to be away.

    direct ──the server did not take a mail──▶ diverted ──it takes again──▶ the file is moved ──▶ its rest, while new mail waits ──▶ direct
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Submission
from qboxrelay.spool import parcels
from qboxrelay.spool.fallback.local import Local
from qboxrelay.spool.fallback.moving import Mover, Target
from qboxrelay.spool.port import SpoolDiskFull, SpoolError, SpoolUnreachable

log = structlog.get_logger()

_PROBE = timedelta(seconds=1)
FAILED = (SpoolUnreachable, SpoolDiskFull)
"""The server can take no mail, whatever the mail is. Limits of [spool] are not among these: they hold for the file, too."""


class Server(Target, Protocol):
    async def put(self, submissions: Sequence[Submission]) -> None: ...

    async def check_writable(self) -> None: ...


class Diversion:
    """`reach` gives the server's spool once it takes mail. `run` until cancelled."""

    def __init__(self, local: Local, *, reach: Callable[[], Awaitable[Server]], clock: Clock) -> None:
        self._local = local
        self._reach = reach
        self._clock = clock
        self._mover = Mover(local)
        self._moved_before = 0
        self._why = ""
        self._troubled = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._storing = 0
        self._stored = asyncio.Event()
        self._stored.set()
        self._arrived = 0
        if local.messages:
            self.divert("mail from before this start is moved")

    @property
    def why(self) -> str:
        """Empty while new mail goes to the server."""
        return self._why

    @property
    def moved(self) -> int:
        """Submissions, since the start."""
        return self._mover.moved

    def divert(self, why: str) -> None:
        if not self._why:
            self._mover.stuck.clear()
            self._moved_before = self._mover.moved
            log.error(
                "fallback.active", reason=why, hint="new mail is kept on this machine until the database takes it"
            )
        self._why = why
        self._troubled.set()

    async def keep(self, submissions: Sequence[Submission]) -> None:
        """Into the file. Raises `SpoolFull`, `SpoolError`."""
        self._storing += 1
        self._stored.clear()
        try:
            await self._local.put(submissions)
            self._arrived += 1
        finally:
            self._storing -= 1
            if not self._storing:
                self._stored.set()

    async def turn(self) -> None:
        """Return when it is decided where the next mail goes; that is at once, but while the rest of the file is moved."""
        await self._open.wait()

    async def run(self) -> None:
        while True:
            await self._troubled.wait()
            try:
                await self._move_all(await self._reach())
            except SpoolError as error:
                self._tell(error)
                await self._clock.sleep(_PROBE)
            except Exception:
                log.exception("fallback.crashed", hint="it goes on after a pause")
                await self._clock.sleep(_PROBE)

    def _tell(self, error: SpoolError) -> None:
        """What is new, and not that the server is still away."""
        why = str(error)
        if why != self._why and not isinstance(error, SpoolUnreachable):
            log.error("fallback.waits", reason=why)
        self._why = why

    async def _move_all(self, server: Server) -> None:
        while self._local.messages - len(self._mover.stuck) > parcels.PART_MESSAGES:
            if not await self._mover.step(server):
                break
        # The rest, and what comes meanwhile: it would go on for ever if mail came as fast as it is moved.
        self._open.clear()
        try:
            while await self._more(server):
                pass
            self._end()
        finally:
            self._open.set()

    async def _more(self, server: Server) -> bool:
        """Whether there may be more. Also a mail that the server refuses only now, after a long wait, is moved before any new one."""
        await self._stored.wait()
        arrived = self._arrived
        return await self._mover.step(server) or self._storing > 0 or arrived != self._arrived

    def _end(self) -> None:
        self._why = ""
        self._troubled.clear()
        log.info("fallback.over", moved=self._mover.moved - self._moved_before, stuck=len(self._mover.stuck))


async def put(diversion: Diversion, server: Server | None, submissions: Sequence[Submission]) -> None:
    """Into the server, or into the file while mail is diverted. Raises `SpoolFull`, `SpoolError`."""
    await diversion.turn()
    if not diversion.why and server is not None:
        try:
            await server.put(submissions)
        except FAILED as error:
            # It may have come through: moved later, it is found there by its id.
            diversion.divert(str(error))
        else:
            return
    await diversion.keep(submissions)
