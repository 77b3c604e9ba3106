"""Metrics of several processes, shown as those of one."""

import math
import re

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.samples import Exemplar

from qboxrelay.model.clock import SystemClock
from qboxrelay.telemetry.merging import GAUGES, AddedUp, Families, added, families, lasting, read_snapshot, snapshot
from qboxrelay.telemetry.metrics import IntakeMetrics, SuppressionMetrics, build_info
from qboxrelay.telemetry.metrics_auth import AuthMetrics
from qboxrelay.telemetry.metrics_domains import DomainMetrics
from qboxrelay.telemetry.metrics_health import CertificateCollector
from qboxrelay.telemetry.metrics_loop import LoopLag
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics


def process(count: int, gauge: float, observed: float) -> Families:
    """What a process would say that counted so."""
    registry = CollectorRegistry()
    counter = Counter("qboxrelay_things", "Things.", ["kind"], registry=registry)
    counter.labels("a").inc(count, exemplar={"id": f"of-{count}"})
    Gauge("qboxrelay_smtp_sessions_open", "Open.", ["listener"], registry=registry).labels("smtp").set(gauge)
    Gauge("qboxrelay_smtp_last_session_age_seconds", "Age.", ["listener"], registry=registry).labels("smtp").set(gauge)
    Gauge("qboxrelay_build_info", "Info.", registry=registry).set(1)
    Histogram("qboxrelay_seconds", "Seconds.", buckets=(1, 2), registry=registry).observe(observed)
    return read_snapshot(snapshot(registry))


def value(found: Families, family: str, sample: str, **labels: str) -> float:
    return found[family].values[sample, tuple(labels.items())][0]


def test_each_by_its_meaning() -> None:
    """Counters and histograms add up, gauges by what they say."""
    total = added([process(2, 5, 0.5), process(3, 7, 1.5), {}])

    assert value(total, "qboxrelay_things", "qboxrelay_things_total", kind="a") == 5
    assert value(total, "qboxrelay_smtp_sessions_open", "qboxrelay_smtp_sessions_open", listener="smtp") == 12
    assert (
        value(
            total, "qboxrelay_smtp_last_session_age_seconds", "qboxrelay_smtp_last_session_age_seconds", listener="smtp"
        )
        == 5
    )
    assert value(total, "qboxrelay_build_info", "qboxrelay_build_info") == 1
    assert value(total, "qboxrelay_seconds", "qboxrelay_seconds_bucket", le="1.0") == 1
    assert value(total, "qboxrelay_seconds", "qboxrelay_seconds_bucket", le="+Inf") == 2
    assert value(total, "qboxrelay_seconds", "qboxrelay_seconds_sum") == 2


def test_when_a_counter_began() -> None:
    """With the first of the processes; times are not added."""

    def made_at(at: float) -> Families:
        found = process(1, 0, 0)
        found["qboxrelay_things"].values["qboxrelay_things_created", ()] = at, None
        return found

    total = added([made_at(20), made_at(10)])
    assert value(total, "qboxrelay_things", "qboxrelay_things_created") == 10


def test_the_newest_exemplar_stays() -> None:
    """Of those that processes have for the same series."""

    def with_exemplar(name: str, at: float | None) -> Families:
        found = process(1, 0, 0)
        key = "qboxrelay_things_total", (("kind", "a"),)
        found["qboxrelay_things"].values[key] = (1.0, Exemplar({"id": name}, 1, at) if at is not None else None)
        return found

    for parts in ([("new", 20.0), ("old", 10.0)], [("old", 10.0), ("new", 20.0)], [("new", 20.0), ("none", None)]):
        total = added([with_exemplar(*part) for part in parts])
        exemplar = total["qboxrelay_things"].values["qboxrelay_things_total", (("kind", "a"),)][1]
        assert exemplar is not None
        assert exemplar.labels == {"id": "new"}


def test_a_process_that_is_gone() -> None:
    """What it counted stays, so that no counter falls; what it held is gone."""
    gone = lasting(process(2, 5, 0.5))
    total = added([gone, process(1, 1, 0.5)])

    assert value(total, "qboxrelay_things", "qboxrelay_things_total", kind="a") == 3
    assert value(total, "qboxrelay_smtp_sessions_open", "qboxrelay_smtp_sessions_open", listener="smtp") == 1


def test_both_formats() -> None:
    """One family each, readable as text and as OpenMetrics with its exemplar; a part of them by name."""
    own = CollectorRegistry()
    Counter("qboxrelay_things", "Things.", ["kind"], registry=own).labels("b").inc()
    shown = AddedUp(own, lambda: [process(2, 5, 0.5), process(3, 7, 1.5)])
    text = generate_latest(shown).decode()
    new = openmetrics(shown).decode()  # type: ignore[no-untyped-call]
    part = list(shown.restricted_registry(["qboxrelay_things_total"]).collect())

    for found in (text, new):
        assert found.count('qboxrelay_things_total{kind="a"} 5.0') == 1
        assert found.count('qboxrelay_things_total{kind="b"} 1.0') == 1
        assert len(re.findall(r"^# TYPE qboxrelay_things(_total)? counter$", found, re.MULTILINE)) == 1
    assert '# {id="of-' in new
    assert new.endswith("# EOF\n")
    assert [sample.value for metric in part for sample in metric.samples] == [1, 5]


def test_a_figure_that_is_none() -> None:
    """JSON has no word for it."""
    registry = CollectorRegistry()
    Gauge("qboxrelay_odd", "Odd.", registry=registry).set(math.nan)
    assert math.isnan(value(read_snapshot(snapshot(registry)), "qboxrelay_odd", "qboxrelay_odd"))


def test_every_gauge_of_a_worker_has_a_meaning() -> None:
    """Who adds one says what it means over several processes."""
    registry = CollectorRegistry()
    build_info(registry, "0")
    LoopLag(registry, SystemClock())
    registry.register(CertificateCollector(lambda: None))
    for metrics in (IntakeMetrics, SuppressionMetrics, AuthMetrics, DomainMetrics, SmtpMetrics):
        metrics(registry)
    gauges = {name for name, family in families(registry.collect()).items() if family.type == "gauge"}

    assert gauges == set(GAUGES)


@pytest.mark.parametrize("name", sorted(GAUGES))
def test_a_meaning_does_not_depend_on_the_order(name: str) -> None:
    """The sum over processes is the same, whoever comes first."""
    assert GAUGES[name](1, 2) == GAUGES[name](2, 1)
