"""How long each step of a stop may take, so that all of them keep within one timeout.

In: `stop_timeout`, and who asks to stop. Out: the time for each step. Never: a step that spends what a later one needs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from qboxrelay.dispatch.wait import first_of

_CLOSING = 0.2
"""The part of the timeout that is kept for what comes after the mail: requests for metrics, the spool's last commit."""
_HURRIED = timedelta(seconds=1)
"""What a step has left once somebody asks a second time. Answers that are on their way still count."""


class Stop:
    """A stop that is asked for by `ask`, which may come from a signal handler, early, or more than once."""

    def __init__(self, *, timeout: timedelta, monotonic: Callable[[], float]) -> None:
        self._timeout = timeout.total_seconds()
        self._monotonic = monotonic
        self._asked_at: float | None = None
        self._asked = asyncio.Event()
        self._hurry = asyncio.Event()

    def ask(self) -> None:
        if self._asked_at is not None:
            self._hurry.set()
            return
        self._asked_at = self._monotonic()
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    async def wait(self) -> None:
        await self._asked.wait()

    async def grant(self, part: float, step: Callable[[timedelta], Awaitable[None]]) -> None:
        """Run a step with a part of the time that is left for mail. Asked once more, begin it anew with hardly any."""
        finished = False

        async def patiently() -> None:
            nonlocal finished
            await step(timedelta(seconds=self._left(1 - _CLOSING) * part))
            finished = True

        await first_of(patiently(), self._hurry.wait())
        if not finished:
            await step(_HURRIED)

    def closing(self, longest: timedelta) -> timedelta:
        """For a step after the mail: `longest`, or half of what is left."""
        return timedelta() if self._hurry.is_set() else min(longest, timedelta(seconds=self._left(1.0) / 2))

    def _left(self, part: float) -> float:
        since = 0.0 if self._asked_at is None else self._monotonic() - self._asked_at
        return max(0.0, self._timeout * part - since)
