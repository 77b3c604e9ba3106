"""Time as a part that is passed in.

In: nothing. Out: the `Clock` that everything else is given. Never: `datetime.now()` or `asyncio.sleep` elsewhere in the relay
where a decision depends on it.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


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
