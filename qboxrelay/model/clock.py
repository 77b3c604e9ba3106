"""Time as a part that is passed in.

In: nothing. Out: the `Clock` that everything else is given. Never: `datetime.now()` or `asyncio.sleep` elsewhere in the relay
where a decision depends on it.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_MOMENT = 100
"""Of what is waited for this part is a moment."""


class Clock(Protocol):
    """Wall time for what is stored and shown, monotonic time for how long things take."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...

    async def sleep(self, delay: timedelta) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds())


def until_next(clock: Clock, every: timedelta) -> timedelta:
    """Until the monotonic clock's next whole multiple of `every`. Who looks at something now and then waits so: all of them are woken at
    once, and an idle machine sleeps in between. Timers end a moment early or late: a multiple that is almost here counts as passed.
    """
    wait = every - timedelta(seconds=clock.monotonic() % every.total_seconds())
    return wait if wait > every / _MOMENT else wait + every
