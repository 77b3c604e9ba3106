"""Reports about domains, for mail that waits: each made once, kept by its TTL, waited for no longer than a deadline.

In: what is expected. Out: a report, or None when there is none in time. Never: a second look under way for the same; a lookup that ends
because nobody waits any more.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from qboxrelay.domains.check import Checker, Expected
from qboxrelay.model.sender_domain import DomainReport, RecordVerdict

log = structlog.get_logger()

_MAX_KEPT = 10_000
_MAX_UNDER_WAY = 200
"""More domains at once are left alone: whoever sends from made-up subdomains must not turn the relay into a storm of questions."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A look that is under way, and until when, by the loop's time, mail waits for it."""

    task: asyncio.Task[DomainReport]
    waited_until: float


class Reports:
    """Reports by what was expected. `close()` ends what is under way."""

    def __init__(self, *, checker: Checker, deadline: timedelta, monotonic: Callable[[], float]) -> None:
        self._checker = checker
        self._deadline = deadline.total_seconds()
        self._monotonic = monotonic
        self._kept: OrderedDict[Expected, tuple[float, DomainReport]] = OrderedDict()
        self._under_way: dict[Expected, _Look] = {}

    async def get(self, expected: Expected) -> DomainReport | None:
        """The report, after no longer than the deadline. One that was good and has grown old is given while a new one is made."""
        until, known = self._kept.get(expected, (0.0, None))
        if known is not None and self._monotonic() < until:
            return known
        look = self._begin(expected)
        if known is not None and known.verdict is RecordVerdict.OK:
            return known
        if look is None:
            return None
        # The deadline counts from the first mail: while DNS is dead, those behind it do not wait anew.
        done, _ = await asyncio.wait({look.task}, timeout=max(0.0, look.waited_until - self._now()))
        task = look.task
        return task.result() if done and not task.cancelled() and task.exception() is None else None

    async def close(self) -> None:
        tasks = [look.task for look in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, expected: Expected) -> "_Look | None":
        look = self._under_way.get(expected)
        if look is None and len(self._under_way) < _MAX_UNDER_WAY:
            task = asyncio.create_task(self._checker.check(expected), name=f"check {expected.domain}")
            look = self._under_way[expected] = _Look(task, self._now() + self._deadline)
            task.add_done_callback(lambda done: self._ended(expected, done))
        return look

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _ended(self, expected: Expected, task: asyncio.Task[DomainReport]) -> None:
        del self._under_way[expected]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("sender_domain.check_crashed", domain=expected.domain, exc_info=error)
            return
        self._keep(expected, task.result())

    def _keep(self, expected: Expected, report: DomainReport) -> None:
        _, before = self._kept.pop(expected, (0.0, None))
        self._kept[expected] = (self._monotonic() + report.ttl.total_seconds(), report)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        if before is None or before.verdict is not report.verdict:
            self._tell(report, None if before is None else before.verdict)

    def _tell(self, report: DomainReport, before: RecordVerdict | None) -> None:
        """Once a change; a domain that is right from the start is no news."""
        if before is None and report.verdict is RecordVerdict.OK:
            return
        write = log.info if report.verdict is RecordVerdict.OK else log.warning
        write(
            "sender_domain.dns_changed",
            domain=report.domain,
            before=before,
            verdict=report.verdict,
            records=[f"{check.kind} {check.name}: {check.verdict}" for check in report.checks if check.required],
        )
