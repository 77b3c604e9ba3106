"""Metrics of several processes as those of one relay.

In: a registry, or what other processes say of theirs. Out: families that are added up, with exemplars. Never: a counter that falls because a
process has ended: what it had counted stays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import RestrictedRegistry
from prometheus_client.samples import Exemplar, Sample

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]

_SUMMED = frozenset({
    "qboxrelay_smtp_sessions_open", "process_virtual_memory_bytes", "process_resident_memory_bytes", "process_open_fds",
})  # fmt: skip
_LEAST = frozenset({
    "qboxrelay_smtp_last_session_age_seconds", "qboxrelay_tls_certificate_expiry_timestamp_seconds",
    "process_start_time_seconds", "process_max_fds",
})  # fmt: skip
GAUGES: Mapping[str, Callable[[float, float], float]] = {
    **dict.fromkeys(_SUMMED, lambda one, other: one + other),
    **dict.fromkeys(_LEAST, min),
    "qboxrelay_build_info": max,
}
"""What a gauge means over several processes; one that only a single process has needs no word here."""


@dataclass(slots=True)
class Family:
    """A metric with its values by sample name and labels."""

    name: str
    text: str
    type: str
    values: dict[Key, tuple[float, Exemplar | None]] = field(default_factory=dict)

    def add(self, other: "Family") -> None:
        for key, (value, exemplar) in other.values.items():
            known, combine = self.values.get(key), self._combine(key[0])
            self.values[key] = (
                (value, exemplar) if known is None else (combine(known[0], value), _newest(known[1], exemplar))
            )

    def _combine(self, sample: str) -> Callable[[float, float], float]:
        if sample.endswith("_created"):
            return min
        return GAUGES.get(self.name, max) if self.type == "gauge" else _sum

    def metric(self) -> Metric:
        metric = Metric(self.name, self.text, self.type)
        metric.samples = [
            Sample(name, dict(labels), value, None, exemplar)
            for (name, labels), (value, exemplar) in self.values.items()
        ]
        return metric


Families = dict[str, Family]


def families(metrics: Iterable[Metric]) -> Families:
    found: Families = {}
    for metric in metrics:
        values = {(one.name, tuple(one.labels.items())): (float(one.value), one.exemplar) for one in metric.samples}
        found[metric.name] = Family(metric.name, metric.documentation, metric.type, values)
    return found


def added(parts: Iterable[Families]) -> Families:
    total: Families = {}
    for part in parts:
        for name, family in part.items():
            total.setdefault(name, Family(name, family.text, family.type)).add(family)
    return total


def lasting(part: Families) -> Families:
    """What still counts of a process that is gone."""
    return {name: family for name, family in part.items() if family.type != "gauge"}


def snapshot(registry: CollectorRegistry) -> bytes:
    """All of a process's metrics, for another process."""
    return orjson.dumps([
        (one.name, one.text, one.type, [(name, labels, value, _plain(exemplar)) for (name, labels), (value, exemplar) in one.values.items()])
        for one in families(registry.collect()).values()
    ])  # fmt: skip


def read_snapshot(body: bytes) -> Families:
    return {
        name: Family(name, text, kind, dict(map(_value, values))) for name, text, kind, values in orjson.loads(body)
    }


class AddedUp(CollectorRegistry):
    """A registry that shows another one together with what other processes last said: for who collects, not for who counts."""

    def __init__(self, own: CollectorRegistry, others: Callable[[], Iterable[Families]]) -> None:
        super().__init__()
        self._own = own
        self._others = others

    def collect(self) -> Iterable[Metric]:
        total = added([families(self._own.collect()), *self._others()])
        return [family.metric() for family in total.values()]

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        return _Restricted(names, self)


class _Restricted(RestrictedRegistry):
    def __init__(self, names: Iterable[str], registry: AddedUp) -> None:
        super().__init__(names, registry)
        self._wanted = frozenset(names)
        self._all = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._all.collect():
            metric.samples = [sample for sample in metric.samples if sample.name in self._wanted]
            if metric.samples:
                yield metric


def _sum(one: float, other: float) -> float:
    return one + other


def _newest(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda exemplar: exemplar.timestamp or 0.0)


def _plain(exemplar: Exemplar | None) -> tuple[Any, ...] | None:
    return None if exemplar is None else (exemplar.labels, exemplar.value, exemplar.timestamp)


def _value(entry: Sequence[Any]) -> tuple[Key, tuple[float, Exemplar | None]]:
    name, labels, value, exemplar = entry
    key = name, tuple((label, text) for label, text in labels)
    return key, (float("nan") if value is None else value, Exemplar(*exemplar) if exemplar is not None else None)
