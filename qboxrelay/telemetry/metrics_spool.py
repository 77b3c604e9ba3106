"""Metrics of the spool.

In: commits as they happen; what waits, read at each scrape. Out: series in the registry that was passed in. Never: a count of rows, which would
take the longer the more waits.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qboxrelay.telemetry.series import Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Submissions of one account in one state. `oldest_seconds` is None where nobody waits for them, or there is none."""

    account: str
    state: str
    messages: int
    bytes: int
    oldest_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the spool holds. `readable` is False when this is what it held when it could last be read."""

    waiting: tuple[Waiting, ...] = ()
    oldest_queued_seconds: float = 0.0
    readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackFigures:
    """Of the file that takes mail while the database server takes none."""

    active: bool
    messages: int
    bytes: int
    moved: int


class SpoolMetrics:
    """How the spool commits, and what it may hold."""

    def __init__(self, registry: CollectorRegistry, *, max_messages: int = 0, max_bytes: int = 0) -> None:
        self._seconds = Histogram(
            "qboxrelay_spool_commit_seconds",
            "Time of a commit, fsync included.",
            registry,
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        ).of()
        self._group = Histogram(
            "qboxrelay_spool_commit_calls",
            "Calls that one commit served.",
            registry,
            buckets=(1, 2, 5, 10, 20, 50, 100, 256),
        ).of()
        most = Gauge("qboxrelay_spool_max_messages", "Submissions that may wait; above it, 452.", registry=registry)
        most.set(max_messages)
        size = Gauge("qboxrelay_spool_max_bytes", "Payload bytes that may wait; above it, 452.", registry=registry)
        size.set(max_bytes)

    def committed(self, group: int, seconds: float) -> None:
        self._seconds.observe(seconds)
        self._group.observe(group)


class PauseMetrics:
    """What operators paused, by account."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._paused = Gauge(
            "qboxrelay_account_paused_by_operator",
            "1 while an operator lets nothing of the account be sent, else 0.",
            ["account"],
            registry=registry,
        )

    def paused(self, account: str, *, on: bool) -> None:
        self._paused.labels(account).set(on)


class FallbackCollector(Collector):
    """What waits on this machine, as `read` finds it."""

    def __init__(self, read: Callable[[], FallbackFigures]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        found = self._read()
        yield GaugeMetricFamily(
            "qboxrelay_spool_fallback_active",
            "1 while new mail goes into the fallback, because the database takes none or has not got all of the earlier mail; else 0.",
            value=float(found.active),
        )
        yield GaugeMetricFamily(
            "qboxrelay_spool_fallback_messages",
            "Submissions that wait in the fallback of this machine until the database takes them.",
            value=found.messages,
        )
        yield GaugeMetricFamily(
            "qboxrelay_spool_fallback_bytes",
            "Payload bytes that wait in the fallback of this machine.",
            value=found.bytes,
        )
        yield CounterMetricFamily(
            "qboxrelay_spool_fallback_moved_total",
            "Submissions that went from the fallback into the database.",
            value=found.moved,
        )


class DepthCollector(Collector):
    """What waits, as `read` last found it. Of several relays on one spool the one that `leads` tells it, so that sums are right."""

    def __init__(self, read: Callable[[], Figures], leads: Callable[[], bool] = lambda: True) -> None:
        self._read = read
        self._leads = leads

    def collect(self) -> Iterable[Metric]:
        figures, leads = self._read(), self._leads()
        if leads:
            yield from _depth(figures)
        yield GaugeMetricFamily(
            "qboxrelay_spool_leader",
            "1 on the relay that exports the spool's messages, bytes and ages, else 0: one of those that share a spool.",
            value=float(leads),
        )
        yield GaugeMetricFamily(
            "qboxrelay_spool_readable",
            "1 when the figures of the spool are fresh; 0 when it could not be read and they are old.",
            value=1.0 if figures.readable else 0.0,
        )


def _depth(figures: Figures) -> Iterable[Metric]:
    labels = ["account", "state"]
    depth = GaugeMetricFamily("qboxrelay_spool_messages", "Submissions, by account and state.", labels=labels)
    size = GaugeMetricFamily("qboxrelay_spool_bytes", "Payload bytes, by account and state.", labels=labels)
    oldest = GaugeMetricFamily(
        "qboxrelay_spool_oldest_seconds",
        "Age of the oldest submission that is queued, sending or held, by account and state; missing when there is none.",
        labels=labels,
    )
    for one in figures.waiting:
        depth.add_metric([one.account, one.state], one.messages)
        size.add_metric([one.account, one.state], one.bytes)
        if one.oldest_seconds is not None:
            oldest.add_metric([one.account, one.state], one.oldest_seconds)
    yield from (depth, size, oldest)
    yield GaugeMetricFamily(
        "qboxrelay_spool_oldest_queued_seconds",
        "Age of the oldest queued submission of all accounts; 0 when none waits.",
        value=figures.oldest_queued_seconds,
    )
