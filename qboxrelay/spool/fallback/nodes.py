"""What relays agree on, for a relay that may start before the server can be reached.

In: the port's calls. Out: the answers of the server's own, once this relay is among the others. Never: an agreement before that.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

from qboxrelay.spool.port import Remote, SpoolUnreachable
from qboxrelay.spool.shared import Node, Shared, SharedCondition, Turned

_LOOK_SECONDS = 2.0


class LateShared:
    """`enter` until it succeeds; then it is as the one that it was given."""

    alone = False

    def __init__(self, enter: Callable[[], Awaitable[Shared]]) -> None:
        self._enter = enter
        self._inner: Shared | None = None
        self._entered = asyncio.Event()

    async def enter(self) -> None:
        """Once. Raises `SpoolLocked` where another relay of that name runs, `SpoolError`."""
        if self._inner is None:
            self._inner = await self._enter()
            self._entered.set()

    @property
    def leads(self) -> bool:
        return self._inner is not None and self._inner.leads

    async def turn(
        self, token: bytes, account: str, *, interval: float, late: float, accepted: int, within: float
    ) -> Turned:
        return await self._shared.turn(token, account, interval=interval, late=late, accepted=accepted, within=within)

    async def slow_down(self, token: bytes) -> None:
        await self._shared.slow_down(token)

    async def conditions(self) -> list[SharedCondition]:
        return await self._shared.conditions()

    async def tell(self, account: str, condition: str, *, reason: str, token: bytes, wait: timedelta) -> None:
        await self._shared.tell(account, condition, reason=reason, token=token, wait=wait)

    async def recovered(self, account: str, version: int) -> None:
        await self._shared.recovered(account, version)

    async def may_probe(self, account: str, lease: timedelta) -> bool:
        return await self._shared.may_probe(account, lease)

    async def changed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._entered.wait()
        if self._inner is not None:
            await self._inner.changed()

    async def nodes(self) -> list[Node]:
        return await self._shared.nodes()

    async def run(self) -> None:
        await self._entered.wait()
        await self._shared.run()

    def cut_off(self) -> None:
        """While it closes: the server is not waited for any longer."""
        inner: object = self._inner
        if isinstance(inner, Remote):
            inner.cut_off()

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()

    @property
    def _shared(self) -> Shared:
        if self._inner is None:
            raise SpoolUnreachable("the database was not reached since the start")
        return self._inner
