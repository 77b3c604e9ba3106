"""Waits that end together."""

from datetime import timedelta

import pytest

from qboxrelay.model.clock import until_next
from tests.contract.spool.harness import ManualClock

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [(600.0, 60.0), (600.001, 59.999), (610.0, 50.0), (659.0, 1.0), (659.9, 60.1), (659.999, 60.001)],
)
def test_who_looks_now_and_then_is_woken_with_the_others(seconds: float, wait: float) -> None:
    """At the next whole minute; a timer that ends a moment early is not set once more for that moment."""
    clock = ManualClock()
    clock.ticks = seconds

    assert until_next(clock, MINUTE).total_seconds() == pytest.approx(wait)
