"""Series that we reckon ourselves are those of prometheus_client, octet for octet."""

import math
import re
from collections.abc import Callable

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from qboxrelay.telemetry.exemplar import exemplar
from qboxrelay.telemetry.merging import AddedUp, families, read_snapshot, snapshot
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics
from qboxrelay.telemetry.series import Count, Histogram

BOUNDS = (0.001, 0.25, 1, 2.5, 100, 1e6)
AMOUNTS = st.one_of(
    st.floats(0, 1e12), st.integers(0, 10**9), st.sampled_from(BOUNDS), st.just(math.inf), st.floats(-5, 0)
)
IDS = st.one_of(st.none(), st.sampled_from(["01KB2X7C9M4V3T8ZQ0R6S5W1YE", "01KB2X7C9M4V3T8ZQ0R6S5W1YF", 'x"\\\n']))
AT = 1_770_000_000.25
_STAMPED = re.compile(r"(# \{[^}]*\} \S+) \S+$", re.MULTILINE)


@pytest.fixture(autouse=True, scope="module")
def without_created() -> None:
    """As `build_info` has it in a relay."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


def shown(registry: CollectorRegistry) -> list[str]:
    """Both formats, alone and added up with another process; prometheus_client's exemplars say when they were made, which is left out."""
    both = AddedUp(registry, lambda: [read_snapshot(snapshot(registry))])
    formats: list[Callable[[CollectorRegistry], bytes]] = [generate_latest, openmetrics]
    return [_STAMPED.sub(r"\1", encode(of).decode()) for encode in formats for of in (registry, both)]


@given(st.lists(st.tuples(AMOUNTS, IDS)))
def test_histogram_shows_what_prometheus_client_would(observed: list[tuple[float, str | None]]) -> None:
    """Buckets, count, sum, and the latest exemplar of each bucket."""
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    expected = prometheus_client.Histogram("h_seconds", "H.", registry=theirs, buckets=BOUNDS)
    series = Histogram("h_seconds", "H.", ours, buckets=BOUNDS).of()
    for amount, transaction in observed:
        expected.observe(amount, exemplar=exemplar(None, transaction))
        if transaction is None:
            series.observe(amount)
        else:
            series.observe_marked(amount, transaction, AT)

    assert shown(ours) == shown(theirs)


@given(st.lists(st.tuples(st.sampled_from(["b", 'a"\n', "è"]), st.lists(AMOUNTS))))
def test_histogram_with_a_label_shows_what_prometheus_client_would(observed: list[tuple[str, list[float]]]) -> None:
    """A series is there as soon as it is asked for, in that order."""
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    expected = prometheus_client.Histogram("h_seconds", "H.", ["account"], registry=theirs, buckets=BOUNDS)
    histogram = Histogram("h_seconds", "H.", ours, buckets=BOUNDS, label="account")
    for account, amounts in observed:
        child = expected.labels(account)
        for amount in amounts:
            child.observe(amount)
        histogram.of(account).observe_all(amounts)

    assert shown(ours) == shown(theirs)


@given(st.lists(st.tuples(st.one_of(st.floats(0, 1e12), st.integers(0, 2**60)), IDS)))
def test_counter_shows_what_prometheus_client_would(counted: list[tuple[float, str | None]]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    expected = prometheus_client.Counter("things", "Things.", registry=theirs)
    count = Count("things", "Things.", ours)
    for amount, transaction in counted:
        expected.inc(amount, exemplar=exemplar(None, transaction))
        count.value += amount
        if transaction is not None:
            count.mark = transaction, amount, AT

    assert shown(ours) == shown(theirs)


def test_exemplar_says_when() -> None:
    """In seconds since 1970, as it was told."""
    registry = CollectorRegistry()
    Histogram("h_seconds", "H.", registry, buckets=BOUNDS).of().observe_marked(0.5, "01X", AT)

    found = families(registry.collect())["h_seconds"].values["h_seconds_bucket", (("le", "1.0"),)][1]
    assert found is not None
    assert (found.labels, found.value, found.timestamp) == ({"transaction_id": "01X"}, 0.5, AT)


def test_names_are_known_to_the_registry() -> None:
    """The same name twice is a mistake that is heard of at the start, and a query for some names finds them."""
    registry = CollectorRegistry()
    Count("things", "Things.", registry)
    Histogram("h_seconds", "H.", registry, buckets=BOUNDS).of()
    for name in ("things", "h_seconds"):
        with pytest.raises(ValueError, match="Duplicated"):
            Count(name, "Again.", registry)

    part = registry.restricted_registry(["things_total", "h_seconds_sum"]).collect()
    assert {sample.name for metric in part for sample in metric.samples} == {"things_total", "h_seconds_sum"}


def test_commands_and_replies_are_in_the_order_of_their_labels() -> None:
    registry = CollectorRegistry()
    metrics = SmtpMetrics(registry)
    for code in (250, 354, 250, 220):
        metrics.replied(code)
    for verb in ("RCPT", "MAIL", "RCPT"):
        metrics.commanded(verb)

    lines = [line for line in generate_latest(registry).decode().splitlines() if "verb=" in line or "code=" in line]
    assert lines == [
        'qboxrelay_smtp_commands_total{verb="MAIL"} 1.0',
        'qboxrelay_smtp_commands_total{verb="RCPT"} 2.0',
        'qboxrelay_smtp_replies_total{code="220"} 1.0',
        'qboxrelay_smtp_replies_total{code="250"} 2.0',
        'qboxrelay_smtp_replies_total{code="354"} 1.0',
    ]
