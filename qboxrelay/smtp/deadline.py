"""A time limit that moves: armed, pushed away and taken back thousands of times a second without a timer for each.

In: seconds. Out: one call when the time has passed. Never: a timer that is cancelled and made anew for every command.
"""

import asyncio
import math
from collections.abc import Callable


def _nobody() -> None:
    """Hears of limits that are over: a closed connection is not to be kept by its own callback."""


class Deadline:
    """Calls `expired` once when the time that was set last has passed."""

    __slots__ = ("_armed", "_at", "_expired", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._armed = math.inf
        """When the handle calls; infinity without one."""

    def set(self, seconds: float) -> None:
        """So long from now. Called for every command, and so not by way of `set_at`."""
        self._at = at = self._loop.time() + seconds
        if self._armed > at:
            self._arm(at)

    def set_at(self, at: float) -> None:
        """At a time of the loop's clock."""
        self._at = at
        if self._armed > at:
            self._arm(at)

    def clear(self) -> None:
        """No limit, until the next one is set."""
        self._at = None

    def close(self) -> None:
        """No limit any more, and nobody who is to hear of one."""
        self._at = None
        self._expired = _nobody
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._armed = math.inf

    def _arm(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = at
        self._handle = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._handle = None
        self._armed = math.inf
        if self._at is None:
            return
        if self._at > self._loop.time():
            self._arm(self._at)
        else:
            self._at = None
            self._expired()
