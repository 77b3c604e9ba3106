"""A lane whose step does not end is seen from outside; one that waits for mail is not taken for it."""

import asyncio
import time
from pathlib import Path
from typing import Any, cast

from qboxrelay.model.clock import SystemClock
from qboxrelay.spool.port import Spool
from tests.contract.dispatch.harness import account, made, opened, scenario

NOBODY = "http://127.0.0.1:9/v1"
HOUR = 3600.0


class LaterClock(SystemClock):
    """Runs ahead when it is told to."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


class WatchedSpool:
    """A spool that says when it is asked for mail, and never answers once it is stuck."""

    def __init__(self, spool: Spool, *, stuck: bool) -> None:
        self._spool = spool
        self._stuck = stuck
        self.asked = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    async def claim(self, *args: Any, **bounds: Any) -> Any:
        self.asked.set()
        await (asyncio.Event().wait() if self._stuck else asyncio.sleep(0))
        return await self._spool.claim(*args, **bounds)


async def busy_after_an_hour(tmp_path: Path, *, stuck: bool) -> float:
    clock = LaterClock()
    async with opened(tmp_path) as spool:
        watched = WatchedSpool(spool, stuck=stuck)
        relay = made(cast("Spool", watched), account(NOBODY), clock=clock)
        running = asyncio.create_task(relay.dispatcher.run())
        async with asyncio.timeout(60):
            await watched.asked.wait()
            while not stuck and relay.dispatcher.busy_seconds():  # noqa: ASYNC110 - a figure, not an event
                await asyncio.sleep(0.01)
        clock.ahead = HOUR
        busy = relay.dispatcher.busy_seconds()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return busy


@scenario
async def test_step_that_does_not_end(tmp_path: Path) -> None:
    assert await busy_after_an_hour(tmp_path, stuck=True) >= HOUR


@scenario
async def test_waiting_is_no_step(tmp_path: Path) -> None:
    """A relay without mail for an hour is well."""
    assert await busy_after_an_hour(tmp_path, stuck=False) == 0
