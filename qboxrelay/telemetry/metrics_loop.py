"""How late the event loop is: what holds it up holds up every session.

In: clocks. Out: a histogram. Never: a sleep so short that measuring is what costs, or an idle machine that is woken for it twice a second.
"""

import time
from collections.abc import Callable
from datetime import timedelta

from prometheus_client import CollectorRegistry, Histogram

from qboxrelay.model.clock import Clock, until_next

_EVERY = timedelta(milliseconds=500)
_SELDOM = timedelta(minutes=1)
_IDLE = 0.01
"""Share of a core below which a relay has nothing to do; taking one mail a second is more."""


class LoopLag:
    """Asks to be woken twice a second, and looks how late that was; the longer nothing happens, the less often. `run` until cancelled."""

    def __init__(
        self, registry: CollectorRegistry, clock: Clock, cpu_seconds: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._cpu_seconds = cpu_seconds
        self._seconds = Histogram(
            "qboxrelay_event_loop_lag_seconds",
            "How much later than asked the event loop woke a task, looked at twice a second while there is something to do.",
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
        )

    async def run(self) -> None:
        pause = _EVERY
        while True:
            wait = pause if pause < _SELDOM else until_next(self._clock, _SELDOM)
            before, worked = self._clock.monotonic(), self._cpu_seconds()
            await self._clock.sleep(wait)
            lasted = self._clock.monotonic() - before
            self._seconds.observe(max(0.0, lasted - wait.total_seconds()))
            idle = self._cpu_seconds() - worked < _IDLE * wait.total_seconds()
            pause = min(2 * pause, _SELDOM) if idle else _EVERY
