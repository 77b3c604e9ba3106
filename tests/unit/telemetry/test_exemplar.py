"""The ids beside a figure."""

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.exposition import generate_latest

from qboxrelay.telemetry.exemplar import exemplar, printable

TRANSACTION = "01KB2X7C9M4V3T8ZQ0R6S5W1YE"


@pytest.mark.parametrize("request_id", ["r-1", "x" * 500, 'quo"te\\ \n', "é" * 200, "\ud800", "\x1b[31m"])
def test_any_request_id_fits(request_id: str) -> None:
    """Whatever the API calls a request, the exemplar is one that OpenMetrics allows, and the scrape goes on."""
    registry = CollectorRegistry()
    Counter("c", "C.", registry=registry).inc(exemplar=exemplar(request_id, TRANSACTION))

    assert f'transaction_id="{TRANSACTION}"' in generate_latest(registry).decode()  # type: ignore[no-untyped-call]


def test_ids_that_are_missing_are_left_out() -> None:
    assert exemplar(None, None) is None
    assert exemplar("", TRANSACTION) == {"transaction_id": TRANSACTION}
    assert exemplar("r-1", None) == {"request_id": "r-1"}


def test_what_is_no_printable_ascii_is_a_question_mark() -> None:
    assert printable("a\nb é") == "a?b ?"
