"""Writing down what became of attempts, however long the spool fails.

In: results of requests. Out: committed records. Never: an outcome forgotten while the process lives, because its mail would be sent
a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from qboxrelay.dispatch.report import Reporter
from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Batch, State
from qboxrelay.spool.port import RequestResult, Result, Spool, SpoolError

T = TypeVar("T")

_PAUSE = timedelta(seconds=1)


class Recorder:
    """One for all lanes. While it is behind, nobody may claim: leases that ran out meanwhile would be given anew by that claim."""

    def __init__(self, *, spool: Spool, reporter: Reporter, clock: Clock) -> None:
        self._spool = spool
        self._reporter = reporter
        self._clock = clock
        self._unrecorded = 0
        self._none_unrecorded = asyncio.Event()
        self._none_unrecorded.set()

    @property
    def behind(self) -> bool:
        return self._unrecorded > 0

    async def caught_up(self) -> None:
        """Return when nothing is unrecorded."""
        await self._none_unrecorded.wait()

    async def record(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        await self._insist(batch, lambda: self._spool.record(batch, request, results))

    async def split(
        self, batch: Batch, request: RequestResult, parts: Sequence[Sequence[int]], lease: timedelta
    ) -> list[Batch]:
        return await self._insist(batch, lambda: self._spool.split(batch, request, parts, lease))

    async def give_back(self, batch: Batch, reason: str) -> None:
        """Put what was claimed and not sent back into the queue, as it was."""
        results = [
            Result(key=submission.key, state=State.QUEUED, outcome="deferred", reason=reason, counted=False)
            for submission in batch.submissions
        ]
        await self.record(batch, RequestResult(error=reason, text="nothing was sent"), results)

    async def _insist(self, batch: Batch, store: Callable[[], Awaitable[T]]) -> T:
        try:
            return await store()
        except SpoolError as error:
            self._reporter.record_failed(batch, str(error))
        self._unrecorded += 1
        self._none_unrecorded.clear()
        try:
            return await self._retry(store)
        finally:
            self._unrecorded -= 1
            if not self._unrecorded:
                self._none_unrecorded.set()

    async def _retry(self, store: Callable[[], Awaitable[T]]) -> T:
        while True:
            await self._clock.sleep(_PAUSE)
            try:
                return await store()
            except SpoolError:
                continue
