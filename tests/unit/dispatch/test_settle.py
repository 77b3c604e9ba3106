"""From an outcome to the state of a submission."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qboxrelay.dispatch.settle import Settler
from qboxrelay.model.outcome import Accepted, Deferred, Refused, Unknown
from qboxrelay.model.submission import Claimed, State
from qboxrelay.settings.schema import DeliverySettings
from qboxrelay.spool.port import Result

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DEFERRED = Deferred(reason="http_503", text="down")
UNKNOWN = Unknown(reason="timeout", text="no answer")


def claimed(age: timedelta = timedelta(), failures: int = 0) -> Claimed:
    return Claimed(
        key=7,
        id="T-1",
        transaction_id="T",
        payload=b"{}",
        attempt=failures + 1,
        failures=failures,
        received_at=NOW - age,
        envelope_sender="",
        recipients=("a@example.net",),
        notify_never=False,
        is_notice=False,
        maybe_sent=False,
        subject="",
        message_id_header="",
    )


def settle(outcome: Any, submission: Claimed | None = None, **settings: Any) -> Result:
    defaults = {"retry_schedule": ["100s", "200s"], "max_age": "48h", "max_retry_after": "1000s"}
    chosen = DeliverySettings.model_validate(defaults | settings)
    return Settler(chosen, random.Random(1)).settle(submission or claimed(), outcome, NOW)


def wait(result: Result) -> float:
    assert result.next_attempt_at is not None
    return (result.next_attempt_at - NOW).total_seconds()


def test_accepted_is_sent_with_what_the_api_said() -> None:
    """Ids, time and suppression go into the spool."""
    result = settle(Accepted(request_id="r", message_id="m", submitted_at="t", suppression="{}"))

    assert result == Result(
        key=7, state=State.SENT, outcome="accepted", message_id="m", submitted_at="t", suppression="{}"
    )


@pytest.mark.parametrize(("error", "text"), [("slug", "slug: no"), (None, "no")])
def test_refused_fails_with_the_apis_words(error: str | None, text: str) -> None:
    """Slug and words are kept for the sender and the operator."""
    result = settle(Refused(status=400, text="no", error=error))

    assert (result.state, result.outcome, result.text) == (State.FAILED, "refused", text)


@pytest.mark.parametrize("outcome", [DEFERRED, UNKNOWN])
def test_tried_again_by_the_schedule(outcome: Any) -> None:
    """The n-th counted failure takes the n-th step."""
    first, third = settle(outcome), settle(outcome, claimed(failures=2))

    assert (first.state, first.counted, first.reason) == (State.QUEUED, True, outcome.reason)
    assert 90 <= wait(first) <= 110
    assert 180 <= wait(third) <= 220


def test_not_to_blame_is_queued_as_it_was() -> None:
    """Rate, quota and token neither count against the mail nor expire it: the account decides when it is tried again."""
    result = settle(Deferred(reason="quota", text="", counted=False), claimed(timedelta(days=99), failures=99))

    assert (result.state, result.counted, result.next_attempt_at) == (State.QUEUED, False, None)


def test_retry_after_is_obeyed_within_reason() -> None:
    """A longer Retry-After than the schedule's step is waited for, up to the longest that the settings allow."""
    assert wait(settle(Deferred(reason="x", text="", retry_after=timedelta(seconds=500)))) == 500
    assert wait(settle(Deferred(reason="x", text="", retry_after=timedelta(days=9000)))) == 1000
    assert wait(settle(Deferred(reason="x", text="", retry_after=timedelta(seconds=1)))) >= 90


@pytest.mark.parametrize("outcome", [DEFERRED, UNKNOWN])
def test_given_up_by_age_after_its_attempts(outcome: Any) -> None:
    """Too old and tried often enough: failed, and the last reason is told."""
    old = timedelta(hours=48)

    assert settle(outcome, claimed(old, failures=1)).state is State.QUEUED
    result = settle(outcome, claimed(old, failures=2))
    assert (result.state, result.reason) == (State.FAILED, "expired")
    assert outcome.text in result.text


def test_unknown_is_held_where_the_settings_or_the_outcome_say_so() -> None:
    """`unknown_outcome = "hold"`, or an outcome that a retry would surely duplicate: an operator decides."""
    assert settle(UNKNOWN, unknown_outcome="hold").state is State.HELD
    assert settle(Unknown(reason="partly_refused", text="", hold=True)).state is State.HELD


def test_long_words_are_cut() -> None:
    """No text of the API fills the spool."""
    assert len(settle(Refused(status=400, text="x" * 9999)).text) == 500
