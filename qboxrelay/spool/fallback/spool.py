"""The port, on a server with a file of this machine beside it that takes mail while the server does not.

In: the port's calls. Out: the server's answers; for new mail, when it must be, the file's. Never: anything but new mail from the file: what is to be
sent, and what people see of the queue, is the server's.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, Self

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Batch, State, Submission
from qboxrelay.spool.fallback import diversion
from qboxrelay.spool.fallback.diversion import Diversion
from qboxrelay.spool.fallback.local import Local
from qboxrelay.spool.port import (
    Depth,
    Fact,
    Handled,
    Pause,
    Record,
    Remote,
    RequestResult,
    Result,
    Spool,
    SpoolUnreachable,
    Untold,
)

_LOOK_SECONDS = 2.0


class Server(Spool, diversion.Server, Remote, Protocol):
    """The spool that a file stands beside."""


class FallbackSpool:
    """`open` is the way to make one. `local` is its file, `diverted` why new mail goes there."""

    def __init__(self, local: Local, *, open_server: Callable[[], Awaitable[Server]], clock: Clock) -> None:
        self.local = local
        self._open_server = open_server
        self._server: Server | None = None
        self._reached = asyncio.Event()
        self._diversion = Diversion(local, reach=self._reach, clock=clock)
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, local: Local, *, open_server: Callable[[], Awaitable[Server]], clock: Clock) -> Self:
        """With the server, or without it as long as it cannot be reached; `open_server` is then asked again. The file is closed with it.
        Raises `SpoolError` for what no waiting mends.
        """
        made = cls(local, open_server=open_server, clock=clock)
        try:
            await made._opened()
        except SpoolUnreachable as error:
            made._diversion.divert(str(error))
        except BaseException:
            await made.close()
            raise
        made._task = asyncio.create_task(made._diversion.run(), name="spool-fallback")
        return made

    @property
    def diverted(self) -> str:
        """Empty while new mail goes to the server."""
        return self._diversion.why

    @property
    def moved(self) -> int:
        """Submissions that went from the file to the server since the start."""
        return self._diversion.moved

    @property
    def server(self) -> Server:
        """Raises `SpoolUnreachable` as long as it could not be reached since the start."""
        if self._server is None:
            raise SpoolUnreachable(f"the database was not reached since the start: {self._diversion.why}")
        return self._server

    async def put(self, submissions: Sequence[Submission]) -> None:
        await diversion.put(self._diversion, self._server, submissions)

    async def check_writable(self) -> None:
        if not self._diversion.why:
            try:
                await self.server.check_writable()
            except diversion.FAILED as error:
                self._diversion.divert(str(error))
            else:
                return
        await self.local.check_writable()

    async def claim(self, account: str, *, max_messages: int, max_bytes: int, lease: timedelta) -> Batch | None:
        return await self.server.claim(account, max_messages=max_messages, max_bytes=max_bytes, lease=lease)

    async def claim_overdue(
        self, account: str, *, received_before: datetime, max_messages: int, max_bytes: int, lease: timedelta
    ) -> Batch | None:
        return await self.server.claim_overdue(
            account, received_before=received_before, max_messages=max_messages, max_bytes=max_bytes, lease=lease
        )

    async def record(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        await self.server.record(batch, request, results)

    async def split(
        self, batch: Batch, request: RequestResult, parts: Sequence[Sequence[int]], lease: timedelta
    ) -> list[Batch]:
        return await self.server.split(batch, request, parts, lease)

    async def next_due_at(self, account: str) -> datetime | None:
        return await self.server.next_due_at(account)

    async def wait_for_work(self, account: str) -> None:
        await self._reached.wait()
        await self.server.wait_for_work(account)

    async def depth(self) -> Depth:
        return await self.server.depth()

    async def find(self, id_: str) -> list[Record]:
        return await self.server.find(id_)

    async def latest(self, *, state: State | None = None, limit: int = 100) -> list[Record]:
        return await self.server.latest(state=state, limit=limit)

    async def addressees(self) -> list[str]:
        return await self.server.addressees()

    async def untold(self, address: str, *, limit: int) -> list[Untold]:
        return await self.server.untold(address, limit=limit)

    async def notices_since(self, address: str, since: datetime, *, limit: int) -> list[datetime]:
        return await self.server.notices_since(address, since, limit=limit)

    async def tell(self, address: str, told: Sequence[Untold], notice: Submission | None) -> bool:
        return await self.server.tell(address, told, notice)

    async def prune(self) -> int:
        return await self.server.prune()

    async def remember(self, name: str, value: bytes) -> None:
        await self.server.remember(name, value)

    async def recall(self, name: str, *, after: int = 0) -> Fact | None:
        return await self.server.recall(name, after=after)

    async def follow(self) -> list[Handled]:
        return await self.server.follow()

    async def changed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._reached.wait()
        if self._server is not None:
            await self._server.changed()

    async def pauses(self) -> list[Pause]:
        return await self.server.pauses()

    async def damaged(self) -> str:
        return await self.local.damaged()

    def cut_off(self) -> None:
        """While it closes: the server is not waited for any longer."""
        if self._server is not None:
            self._server.cut_off()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._reached.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._server is not None:
            await self._server.close()
        await self.local.close()

    async def _opened(self) -> Server:
        if self._server is None:
            self._server = await self._open_server()
            self._reached.set()
        return self._server

    async def _reach(self) -> Server:
        """Raises `SpoolError` as long as it takes no mail."""
        server = await self._opened()
        await server.check_writable()
        return server
