"""From an outcome to what the spool records.

In: one submission, its outcome, the settings, the time. Out: a `Result`. Never: I/O, or a state that is not one of the four ends
of an attempt.
"""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from qboxrelay.dispatch.backoff import is_expired, retry_delay
from qboxrelay.model.outcome import Accepted, Deferred, Outcome, Refused, Unknown
from qboxrelay.model.submission import Claimed, State
from qboxrelay.settings.schema import DeliverySettings
from qboxrelay.settings.types import format_duration
from qboxrelay.spool.port import Result

_MAX_TEXT = 500
_ASIDE = timedelta(seconds=1)


class Settler:
    """Applies the retry schedule, the maximum age and the choice for unknown outcomes."""

    def __init__(self, settings: DeliverySettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng

    def settle(self, submission: Claimed, outcome: Outcome, now: datetime) -> Result:
        match outcome:
            case Accepted():
                return Result(
                    key=submission.key,
                    state=State.SENT,
                    outcome="accepted",
                    message_id=outcome.message_id,
                    submitted_at=outcome.submitted_at,
                    suppression=outcome.suppression,
                )
            case Refused():
                text = f"{outcome.error}: {outcome.text}" if outcome.error else outcome.text
                return Result(
                    key=submission.key, state=State.FAILED, outcome="refused", reason="refused", text=text[:_MAX_TEXT]
                )
            case Deferred():
                return self._again(submission, outcome, now)
            case Unknown():
                return self._unknown(submission, outcome, now)
            case _:  # pragma: no cover - mypy proves it
                assert_never(outcome)

    def aside(self, result: Result, now: datetime) -> Result:
        """For a mail that the API forbade alone: perhaps it is the mail and not the account, so that the next probe is to be another."""
        return replace(result, next_attempt_at=now + self._settings.account_pause + _ASIDE)

    def give_up(self, submission: Claimed, text: str) -> Result:
        """For a mail that grew too old while its account could not send at all."""
        return Result(
            key=submission.key,
            state=State.FAILED,
            outcome="deferred",
            reason="expired",
            text=f"given up after {format_duration(self._settings.max_age)}: {text}"[:_MAX_TEXT],
        )

    def _again(self, submission: Claimed, outcome: Deferred, now: datetime) -> Result:
        if not outcome.counted:
            return Result(
                key=submission.key,
                state=State.QUEUED,
                outcome="deferred",
                reason=outcome.reason,
                text=outcome.text[:_MAX_TEXT],
                counted=False,
            )
        return self._retry(submission, "deferred", outcome.reason, outcome.text, now, outcome.retry_after)

    def _unknown(self, submission: Claimed, outcome: Unknown, now: datetime) -> Result:
        if outcome.hold or self._settings.unknown_outcome == "hold":
            return Result(
                key=submission.key,
                state=State.HELD,
                outcome="unknown",
                reason=outcome.reason,
                text=outcome.text[:_MAX_TEXT],
            )
        return self._retry(submission, "unknown", outcome.reason, outcome.text, now, None)

    def _retry(
        self, submission: Claimed, outcome: str, reason: str, text: str, now: datetime, retry_after: timedelta | None
    ) -> Result:
        failures = submission.failures + 1
        if is_expired(submission.received_at, now, self._settings.max_age, failures):
            given_up = f"given up after {format_duration(self._settings.max_age)}: {text}"[:_MAX_TEXT]
            return Result(key=submission.key, state=State.FAILED, outcome=outcome, reason="expired", text=given_up)
        wait = min(retry_after or timedelta(), self._settings.max_retry_after)
        delay = max(retry_delay(self._settings.retry_schedule, failures, self._rng), wait)
        return Result(
            key=submission.key,
            state=State.QUEUED,
            outcome=outcome,
            reason=reason,
            text=text[:_MAX_TEXT],
            next_attempt_at=now + delay,
        )
