"""What a relay says of its work: totals since the start, and a rate over the last minute."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from qboxrelay.spool.shared import Work
from qboxrelay.status.work import WorkMeter
from qboxrelay.telemetry.metrics import IntakeMetrics
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def worked(registry: CollectorRegistry) -> Callable[[int, int], None]:
    """Count so many submissions as accepted, and as sent."""
    intake, dispatch = IntakeMetrics(registry), DispatchMetrics(registry)

    def count(accepted: int, sent: int) -> None:
        intake.accepted(100, accepted, since=intake.now(), transaction_id="id")
        dispatch.finished("default", "sent", sent, request_id=None, transaction_id="id")
        dispatch.finished("default", "failed", 1, request_id=None, transaction_id="id")

    return count


def test_totals_and_rates(registry: CollectorRegistry) -> None:
    """What failed was not sent; what is longer ago than a minute is in the totals alone."""
    now, count = [100.0], worked(registry)
    meter = WorkMeter(lambda: registry, lambda: now[0])
    assert meter() == Work()
    count(60, 30)
    now[0] += 30
    assert meter() == Work(accepted=60, sent=30, accepted_per_second=2.0, sent_per_second=1.0)
    for _ in range(5):
        now[0] += 30
        latest = meter()
    assert latest == Work(accepted=60, sent=30)


def test_nothing_is_counted_yet(registry: CollectorRegistry) -> None:
    """Before the parts are made that count."""
    assert WorkMeter(lambda: registry, lambda: 0.0)() == Work()
