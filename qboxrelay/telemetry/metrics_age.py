"""How long ago something last happened: the figures that tell of silence.

In: events, as they happen. Out: one gauge, reckoned at each scrape. Never: a wall clock, which somebody may set.
"""

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Ages(Collector):
    """Seconds since the latest event for each value of one label; since the label was made known where there was none."""

    def __init__(self, name: str, text: str, label: str, monotonic: Callable[[], float]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._monotonic = monotonic
        self._at: dict[str, float] = {}

    def known(self, value: str) -> None:
        """The clock of this value begins to run, unless it does already."""
        self._at.setdefault(value, self._monotonic())

    def happened(self, value: str) -> None:
        self._at[value] = self._monotonic()

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        now = self._monotonic()
        for value, at in list(self._at.items()):
            family.add_metric([value], max(0.0, now - at))
        yield family
