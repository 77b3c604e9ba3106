"""Where a mail's time went, in seconds that are never negative."""

from datetime import UTC, datetime, timedelta

import pytest

from qboxrelay.dispatch.delays import delays, of_request, waits
from qboxrelay.model.submission import Claimed
from qboxrelay.spool.port import RequestResult

RECEIVED = datetime(2026, 11, 21, 12, tzinfo=UTC)
REQUEST = RequestResult(connect_seconds=0.0014, answer_seconds=2.5)


def claimed(stored_after: float | None) -> Claimed:
    return Claimed(
        key=7,
        id="T-1",
        transaction_id="T",
        payload=b"{}",
        attempt=1,
        failures=0,
        received_at=RECEIVED,
        envelope_sender="",
        recipients=("a@example.net",),
        notify_never=False,
        is_notice=False,
        maybe_sent=False,
        subject="",
        message_id_header="",
        stored_at=None if stored_after is None else RECEIVED + timedelta(seconds=stored_after),
    )


@pytest.mark.parametrize(
    ("stored_after", "started_after", "shown"),
    [
        (0.25, 1.0, "0.250/0.750/0.001/2.500"),
        (None, 1.0, "0.000/1.000/0.001/2.500"),
        (-5.0, -9.0, "0.000/0.000/0.001/2.500"),
    ],
)
def test_four_delays(stored_after: float | None, started_after: float, shown: str) -> None:
    """Before the spool, in it, connecting, until the answer; also where the clock was set back, or nobody knows when it was stored."""
    submission = claimed(stored_after)
    (in_spool,) = waits([submission], RECEIVED + timedelta(seconds=started_after))

    assert delays(submission, in_spool, of_request(REQUEST)) == shown


def test_request_that_never_connected() -> None:
    """Unknown times are shown as none."""
    assert of_request(RequestResult()) == "0.000/0.000"
