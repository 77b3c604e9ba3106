"""The last hour in memory, for the charts: what the metrics said at regular moments.

In: the metrics registry, the spool's figures, a clock. Out: samples, rates, quantiles. Never: more than a fixed number of samples; a look at
the spool that a scrape would not take as well.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry

from qboxrelay.model.clock import Clock, until_next
from qboxrelay.telemetry.metrics_spool import Figures

EVERY = timedelta(seconds=10)
SELDOM = timedelta(minutes=1)
"""While nothing happens: an idle relay is not to be woken for it."""
_TOO_SOON = 0.9 * EVERY.total_seconds()
KEPT = timedelta(hours=1)
WINDOW = timedelta(minutes=1)
"""A rate, or a quantile, is that of so long before a moment, or a little longer where samples are few."""
_ABOUT_A_WINDOW = (WINDOW - EVERY / 2).total_seconds()
"""Samples are late by moments."""
_COUNTED = {
    "qboxrelay_mails_accepted_total": "",
    "qboxrelay_mails_refused_total": "",
    "qboxrelay_submissions_finished_total": "state",
    "qboxrelay_attempts_total": "outcome",
}
"""Counters, and the label to tell their values by; the others are added up."""
_TIMED = ("qboxrelay_send_request_seconds", "qboxrelay_submission_wait_seconds")

Buckets = Mapping[float, float]
"""Counts up to each bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`at` is monotonic seconds. `counts` are by metric or `metric:label`, `buckets` by histogram, `waiting` by state."""

    at: float
    counts: Mapping[str, float] = field(default_factory=dict)
    buckets: Mapping[str, Buckets] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)


class History:
    """`run` until cancelled."""

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        refresh: Callable[[], Awaitable[None]],
        figures: Callable[[], Figures],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._refresh = refresh
        self._figures = figures
        self._clock = clock
        self._samples: deque[Sample] = deque()
        self.unreadable_since: datetime | None = None
        """When the spool was first found to give no figures; None while it does."""

    async def run(self) -> None:
        while True:
            await self.sample()
            await self._clock.sleep(until_next(self._clock, SELDOM) if self._nothing_happens else EVERY)

    async def catch_up(self) -> None:
        """Somebody looks: the latest sample shall not be an old one."""
        if not self._samples or self._clock.monotonic() - self._samples[-1].at >= EVERY.total_seconds():
            await self.sample()

    async def look_again(self) -> None:
        """Somebody could not read the spool: whether the figures know of it, too, is found out now."""
        if self.unreadable_since is None:
            await self.sample()
        else:
            await self.catch_up()

    async def sample(self) -> None:
        await self._refresh()
        counts, buckets = self._counted()
        figures = self._figures()
        self.unreadable_since = None if figures.readable else self.unreadable_since or self._clock.now()
        waiting: dict[str, int] = {}
        for one in figures.waiting:
            waiting[one.state] = waiting.get(one.state, 0) + one.messages
        if len(self._samples) > 1 and self._samples[-1].at - self._samples[-2].at < _TOO_SOON:
            # Somebody looked: however often that is, there are no more samples than time has room for.
            self._samples.pop()
        self._samples.append(Sample(at=self._clock.monotonic(), counts=counts, buckets=buckets, waiting=waiting))
        oldest = self._samples[-1].at - (KEPT + WINDOW).total_seconds()
        while self._samples[0].at < oldest:
            self._samples.popleft()

    @property
    def _nothing_happens(self) -> bool:
        if len(self._samples) == 1:
            return False
        before, now = self._samples[-2], self._samples[-1]
        return replace(before, at=now.at) == now

    def samples(self) -> list[Sample]:
        """Oldest first."""
        return list(self._samples)

    def _counted(self) -> tuple[dict[str, float], dict[str, dict[float, float]]]:
        counts: dict[str, float] = {}
        buckets: dict[str, dict[float, float]] = {name: {} for name in _TIMED}
        wanted = [*_COUNTED, *(f"{name}_bucket" for name in _TIMED)]
        for family in self._registry.restricted_registry(wanted).collect():
            for sample in family.samples:
                if sample.name in _COUNTED:
                    label = sample.labels.get(_COUNTED[sample.name], "")
                    key = f"{sample.name}:{label}" if label else sample.name
                    counts[key] = counts.get(key, 0.0) + sample.value
                elif "le" in sample.labels:
                    bound, of = float(sample.labels["le"]), buckets[family.name]
                    of[bound] = of.get(bound, 0.0) + sample.value
        return counts, buckets


def increase(samples: Iterable[Sample], key: str) -> float:
    """Of a counter over all samples. A counter that was not there yet stood at 0."""
    found = [sample.counts.get(key, 0.0) for sample in samples]
    return found[-1] - found[0] if found else 0.0


def per_minute(samples: list[Sample], key: str) -> list[tuple[float, float]]:
    """(seconds before the last sample, rate), from the second sample on."""
    return [
        (samples[-1].at - now.at, 60 * (now.counts.get(key, 0.0) - old.counts.get(key, 0.0)) / (now.at - old.at))
        for old, now in _windows(samples)
    ]


def quantiles(samples: list[Sample], name: str, share: float) -> list[tuple[float, float | None]]:
    """(seconds before the last sample, quantile of a histogram), None where nothing was observed."""
    return [
        (samples[-1].at - now.at, _quantile(old.buckets.get(name, {}), now.buckets.get(name, {}), share))
        for old, now in _windows(samples)
    ]


def waiting(samples: list[Sample], *states: str) -> list[tuple[float, float]]:
    """(seconds before the last sample, submissions in these states)."""
    return [(samples[-1].at - one.at, float(sum(one.waiting.get(state, 0) for state in states))) for one in samples]


def _windows(samples: list[Sample]) -> list[tuple[Sample, Sample]]:
    """Each sample with the latest one that is a window older, or the first."""
    pairs, place = [], 0
    for now in samples:
        while place + 1 < len(samples) and samples[place + 1].at <= now.at - _ABOUT_A_WINDOW:
            place += 1
        pairs.append((samples[place], now))
    return [(old, now) for old, now in pairs if now.at > old.at]


def _quantile(old: Buckets, now: Buckets, share: float) -> float | None:
    """As Prometheus' histogram_quantile: even within a bucket; of the last one, its lower bound."""
    counts = [(bound, now[bound] - old.get(bound, 0.0)) for bound in sorted(now)]
    if not counts or counts[-1][1] <= 0:
        return None
    rank, below, under = share * counts[-1][1], 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            if bound == float("inf"):
                return below
            return below + (bound - below) * (rank - under) / (count - under) if count > under else bound
        below, under = bound, count
    return below
