"""Feeding the service manager's watchdog, only while every part of the relay makes progress.

In: a pulse of each part. Out: WATCHDOG=1, several times within the manager's patience. Never: a sign of life from a relay whose event loop,
writer or dispatcher is stuck: the manager then starts it anew, and the spool has all mail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import structlog

from qboxrelay.manager.notify import Notifier
from qboxrelay.model.clock import Clock, until_next

log = structlog.get_logger()

Pulse = Callable[[], Awaitable[bool]]
"""Whether a part makes progress. One that does not answer has none."""

_ROUNDS = 4
"""Rounds within the manager's patience: one may be missed, and the next one still comes in time."""


class Watchdog:
    """`run` for as long as the relay lives. The event loop is what runs it, so it needs no pulse."""

    def __init__(self, *, notifier: Notifier, pulses: Mapping[str, Pulse], clock: Clock) -> None:
        self._notifier = notifier
        self._pulses = pulses
        self._clock = clock

    async def run(self) -> None:
        """Returns at once when the manager watches nothing."""
        if self._notifier.watchdog is None:
            return
        patience = self._notifier.watchdog / _ROUNDS
        while True:
            if await self.all_well(patience):
                self._notifier.alive()
            await self._clock.sleep(until_next(self._clock, patience))

    async def all_well(self, patience: timedelta) -> bool:
        """Ask every part, and say which of them is stuck."""
        stuck = [name for name, pulse in self._pulses.items() if not await _beats(pulse, patience)]
        if stuck:
            log.error(
                "watchdog.stuck",
                parts=stuck,
                hint="the service manager is told nothing more, and will restart the relay",
            )
        return not stuck


async def _beats(pulse: Pulse, patience: timedelta) -> bool:
    try:
        async with asyncio.timeout(patience.total_seconds()):
            return await pulse()
    except TimeoutError:
        return False
