"""What is said of attempts: the closing line of each submission, and the figures.

In: a batch, its request, its results. Out: log lines and metrics. Never: content, or a token.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import structlog

from qboxrelay.dispatch.delays import delays, of_request, waits
from qboxrelay.dispatch.gate import Condition, Status
from qboxrelay.model.submission import Batch, Claimed, State
from qboxrelay.spool.port import RequestResult, Result
from qboxrelay.telemetry.logs import together
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics
from qboxrelay.telemetry.metrics_window import Ended
from qboxrelay.telemetry.tracing import OFF, Sent, Tracing, trace_id

log = structlog.get_logger()

_MAX_SUMMARY = 500
_SUPPRESSION_STATUSES = {"checked", "ignored"}
_FINAL = {State.SENT: "submission.sent", State.FAILED: "submission.failed", State.HELD: "submission.held"}


class Reporter:
    """Says of attempts what people and monitors need."""

    def __init__(self, metrics: DispatchMetrics, tracing: Tracing = OFF) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._types: dict[str, str] = {}
        self._conditions: dict[str, Condition] = {}

    def account(self, name: str, kind: str) -> None:
        """An account that is there, and its type at Qboxmail."""
        self._types[name] = kind
        self._metrics.account(name, kind, [one.value for one in Condition if one is not Condition.RUNNING])

    def started(self, batch: Batch) -> None:
        repeated = [submission for submission in batch.submissions if submission.maybe_sent]
        self._metrics.started(
            batch.account,
            len(batch.submissions),
            batch.payload_bytes,
            maybe_duplicates=len(repeated),
            retries=sum(submission.attempt > 1 for submission in batch.submissions),
        )
        for submission in repeated:
            log.warning(
                "attempt.maybe_duplicate",
                submission=submission.id,
                transaction=submission.transaction_id,
                account=batch.account,
                attempt=submission.attempt,
                hint="an earlier attempt ended without an answer: the API may have this message already",
            )

    def stopped(self, batch: Batch) -> None:
        self._metrics.stopped(batch.account)

    def ended(self, batch: Batch, request: RequestResult, seconds: float) -> None:
        status = str(request.status) if request.status is not None else request.error or "none"
        self._metrics.ended(
            Ended(
                key=batch.request_key,
                account=batch.account,
                status=status,
                request_id=request.request_id,
                transaction_id=batch.submissions[0].transaction_id,
                messages=len(batch.submissions),
                seconds=seconds,
            )
        )

    def settled(self, batch: Batch, request: RequestResult, results: Sequence[Result], started_at: datetime) -> None:
        """A line for each submission that is finished; one for all of a request that wait for the same reason."""
        waited = waits(batch.submissions, started_at)
        self._count(batch, request, results, waited)
        # Hundreds of lines at once: each write of its own would offer the interpreter to another thread.
        with together():
            self._close(batch, request, results, waited)
            self._deferred(batch, request, results)
            self._unmatched(batch, request, results)

    def _count(self, batch: Batch, request: RequestResult, results: Sequence[Result], waited: Sequence[float]) -> None:
        """Figures, each with the ids of the first submission that it counts."""
        account, request_id = batch.account, request.request_id
        for outcome, count, first in _tallied(batch, [result.outcome for result in results]):
            self._metrics.settled(account, outcome, count, request_id=request_id, transaction_id=first)
        states = [result.state for result in results]
        for state, count, first in _tallied(batch, states):
            if state in _FINAL:
                self._metrics.finished(account, state, count, request_id=request_id, transaction_id=first)
        sent = State.SENT
        self._metrics.waited(account, [seconds for seconds, state in zip(waited, states, strict=True) if state is sent])
        self._count_summaries(account, results)

    def _count_summaries(self, account: str, results: Sequence[Result]) -> None:
        """Mostly one text for all, which is read once."""
        summaries = Counter([result.suppression for result in results if result.suppression is not None])
        for summary, count in summaries.items():
            self._metrics.suppression(account, suppression_status(summary), count)

    def condition(self, account: str, status: Status) -> None:
        before = self._conditions.get(account, Condition.RUNNING)
        self._conditions[account] = status.condition
        for condition in Condition:
            if condition is not Condition.RUNNING:
                holds = condition is status.condition
                began = holds and before is not condition
                self._metrics.condition(account, condition.value, holds=holds, began=began)
        write = log.info if status.condition is Condition.RUNNING else log.warning
        write(
            "account.condition",
            account=account,
            type=self._types.get(account),
            condition=status.condition.value,
            reason=status.reason or None,
            next_try_in_seconds=round(status.wait_seconds, 1),
        )

    def traced(
        self,
        batch: Batch,
        request: RequestResult,
        results: Sequence[Result],
        *,
        started_at: datetime,
        ended_at: datetime,
    ) -> None:
        """The spans of those that are traced. To be called beside `settled`."""
        if self._tracing.on:
            self._tracing.sent(
                Sent(
                    submission=submission,
                    account=batch.account,
                    started_at=started_at,
                    ended_at=ended_at,
                    outcome=result.outcome,
                    state=result.state.value,
                    status=request.status,
                    request_id=request.request_id,
                    message_id=result.message_id,
                    messages=len(batch.submissions),
                )
                for submission, result in zip(batch.submissions, results, strict=True)
                if submission.traceparent
            )

    def record_failed(self, batch: Batch, error: str) -> None:
        self._metrics.record_failed(batch.account)
        log.error(
            "record.failed",
            account=batch.account,
            request=batch.request_key,
            count=len(batch.submissions),
            error=error,
            hint="kept in memory and tried each second; nothing is claimed meanwhile, so nothing is sent twice",
        )

    def _defer(self, account: str, submission: Claimed, result: Result, request: RequestResult) -> None:
        at = result.next_attempt_at
        log.debug(
            "attempt.deferred",
            **_names(account, submission, request),
            outcome=result.outcome,
            reason=result.reason,
            text=result.text,
            next_attempt_at=at.isoformat(timespec="seconds") if at else None,
        )

    def _deferred(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        waiting: dict[tuple[str, str], list[tuple[Claimed, Result]]] = {}
        for submission, result in zip(batch.submissions, results, strict=True):
            if result.state not in _FINAL:
                waiting.setdefault((result.outcome, result.reason), []).append((submission, result))
        for (outcome, reason), those in waiting.items():
            first, result = those[0]
            at = min((later.next_attempt_at for _, later in those if later.next_attempt_at), default=None)
            log.warning(
                "request.deferred",
                **_names(batch.account, first, request),
                count=len(those),
                outcome=outcome,
                reason=reason,
                text=result.text,
                counted=result.counted,
                next_attempt_at=at.isoformat(timespec="seconds") if at else None,
            )

    def _unmatched(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        """Accepted mail of which the answer did not say which of its ids is whose; it is never sent again."""
        without = [
            submission
            for submission, result in zip(batch.submissions, results, strict=True)
            if result.state is State.SENT and result.message_id is None
        ]
        if without:
            log.warning(
                "request.unmatched",
                **_names(batch.account, without[0], request),
                count=len(without),
                of=len(results),
                hint="accepted; the answer does not say which message_id is theirs",
            )

    def _close(self, batch: Batch, request: RequestResult, results: Sequence[Result], waited: Sequence[float]) -> None:
        """Once for each mail: what all lines of the request share is looked up once, and the fields are written out in one place."""
        account, error = batch.account, request.error
        sent, on_the_way = State.SENT, of_request(request)
        info, failed = log.info, log.error
        for submission, result, seconds in zip(batch.submissions, results, waited, strict=True):
            state, suppression = result.state, result.suppression
            if state not in _FINAL:
                if result.counted:
                    self._defer(account, submission, result, request)
                continue
            fields = {
                **_names(account, submission, request),
                "outcome": result.outcome,
                "message_id": result.message_id,
                "suppression": suppression[:_MAX_SUMMARY] if suppression else None,
                "error": error,
                "reason": result.reason or None,
                "text": result.text or None,
                "sender": submission.envelope_sender or "<>",
                "recipients": list(submission.recipients),
                "subject": submission.subject,
                "delays": delays(submission, seconds, on_the_way),
            }
            if submission.traceparent:
                fields["trace"] = trace_id(submission.traceparent)
            write = info if state is sent else failed
            write(_FINAL[state], **fields)


def suppression_status(summary: str) -> str:
    """The summary's status in a closed set of words: the two that the documentation shows (API page limits), or `other`."""
    found = orjson.loads(summary)
    status = found.get("status") if isinstance(found, dict) else found
    return status if isinstance(status, str) and status in _SUPPRESSION_STATUSES else "other"


def _names(account: str, submission: Claimed, request: RequestResult) -> dict[str, Any]:
    return {
        "submission": submission.id,
        "transaction": submission.transaction_id,
        "account": account,
        "attempt": submission.attempt,
        "status": request.status,
        "request_id": request.request_id,
    }


def _tallied(batch: Batch, words: Sequence[str]) -> list[tuple[str, int, str]]:
    """Each word of the results: how many have it, and the transaction of the first."""
    return [
        (word, count, batch.submissions[words.index(word)].transaction_id) for word, count in Counter(words).items()
    ]
