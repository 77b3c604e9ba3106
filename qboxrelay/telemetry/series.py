"""Counters and histograms for what every mail touches: the same series as prometheus_client's, without a lock and a check at each step.

In: counts and times, from one thread. Out: series in the registry that was passed in, reckoned at each scrape. Never: a second thread that
counts in the same one: nothing guards an addition; a negative count, or an observation that is no number.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Exemplar, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from qboxrelay.telemetry.exemplar import exemplar

Mark = tuple[str, float, float]
"""What becomes an exemplar when somebody asks for it: a transaction, the value, when in seconds since 1970."""


class Count(Collector):
    """A counter without labels. Who counts adds to `value` and sets `mark`: a call would take longer than both."""

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self.value = 0.0
        self.mark: Mark | None = None
        self._name = name
        self._text = text
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._text)]

    def collect(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._text, self.value, exemplar=_exemplar(self.mark))]


class Observations:
    """What one series of a histogram has seen."""

    __slots__ = ("_bounds", "_counts", "_marks", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0.0] * len(bounds)
        self._marks: list[Mark | None] = [None] * len(bounds)
        self._sum = 0.0

    def observe(self, amount: float) -> None:
        self._sum += amount
        self._counts[bisect_left(self._bounds, amount)] += 1

    def observe_marked(self, amount: float, transaction_id: str, at: float) -> None:
        """With the mail that it was, and when in seconds since 1970: the latest of its bucket is shown with it."""
        bucket = bisect_left(self._bounds, amount)
        self._sum += amount
        self._counts[bucket] += 1
        self._marks[bucket] = transaction_id, amount, at

    def observe_all(self, amounts: Iterable[float]) -> None:
        bounds, counts, total = self._bounds, self._counts, self._sum
        for amount in amounts:
            total += amount
            counts[bisect_left(bounds, amount)] += 1
        self._sum = total

    def add_to(self, metric: Metric, labels: dict[str, str]) -> None:
        count = 0.0
        for bound, more, mark in zip(self._bounds, self._counts, self._marks, strict=True):
            count += more
            upper = floatToGoString(bound)  # type: ignore[no-untyped-call]
            metric.add_sample(f"{metric.name}_bucket", {**labels, "le": upper}, count, exemplar=_exemplar(mark))
        metric.add_sample(f"{metric.name}_count", labels, count)
        metric.add_sample(f"{metric.name}_sum", labels, self._sum)


class Histogram(Collector):
    """Observations, in all or by the values of one label."""

    def __init__(
        self, name: str, text: str, registry: CollectorRegistry, *, buckets: Sequence[float], label: str | None = None
    ) -> None:
        """`buckets` are upper bounds, in order, none of them negative."""
        self._name = name
        self._text = text
        self._bounds = [*map(float, buckets), inf]
        self._label = label
        self._series: dict[str, Observations] = {}
        registry.register(self)

    def of(self, value: str = "") -> Observations:
        """The series of this value of the label, which is there from now on."""
        series = self._series.get(value)
        if series is None:
            series = self._series[value] = Observations(self._bounds)
        return series

    def describe(self) -> Iterable[Metric]:
        return [Metric(self._name, self._text, "histogram")]

    def collect(self) -> Iterable[Metric]:
        metric = Metric(self._name, self._text, "histogram")
        for value, series in list(self._series.items()):
            series.add_to(metric, {} if self._label is None else {self._label: value})
        return [metric]


def _exemplar(mark: Mark | None) -> Exemplar | None:
    if mark is None:
        return None
    transaction_id, value, at = mark
    labels = exemplar(None, transaction_id)
    return None if labels is None else Exemplar(labels, value, at)
