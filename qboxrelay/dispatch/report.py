"""What is said of attempts: the closing line of each submission, and the figures.

In: a batch, its request, its results. Out: log lines and metrics. Never: content, or a token.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson
import structlog

from qboxrelay.dispatch.delays import delays, waited
from qboxrelay.dispatch.gate import Condition, Status
from qboxrelay.model.submission import Batch, Claimed, State
from qboxrelay.spool.port import RequestResult, Result
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
        self._count(batch, request, results, started_at)
        for submission, result in zip(batch.submissions, results, strict=True):
            if result.suppression is not None:
                self._metrics.suppression(batch.account, suppression_status(result.suppression))
            if result.state in _FINAL:
                self._close(batch.account, submission, result, request, started_at)
            elif result.counted:
                self._defer(batch.account, submission, result, request)
        self._deferred(batch, request, results)
        self._unmatched(batch, request, results)

    def _count(self, batch: Batch, request: RequestResult, results: Sequence[Result], started_at: datetime) -> None:
        """Figures, each with the ids of the first submission that it counts."""
        account, request_id = batch.account, request.request_id
        for outcome, (count, first) in _tallied(batch, results, lambda result: result.outcome).items():
            self._metrics.settled(account, outcome, count, request_id=request_id, transaction_id=first)
        for state, (count, first) in _tallied(batch, results, lambda result: result.state.value).items():
            if state in _FINAL:
                self._metrics.finished(account, state, count, request_id=request_id, transaction_id=first)
        pairs = zip(batch.submissions, results, strict=True)
        self._metrics.waited(account, [waited(one, started_at) for one, result in pairs if result.state is State.SENT])

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

    def _close(
        self, account: str, submission: Claimed, result: Result, request: RequestResult, started_at: datetime
    ) -> None:
        write = log.info if result.state is State.SENT else log.error
        write(
            _FINAL[result.state],
            **_names(account, submission, request),
            outcome=result.outcome,
            message_id=result.message_id,
            suppression=(result.suppression or "")[:_MAX_SUMMARY] or None,
            error=request.error,
            reason=result.reason or None,
            text=result.text or None,
            sender=submission.envelope_sender or "<>",
            recipients=list(submission.recipients),
            subject=submission.subject,
            delays=delays(submission, request, started_at),
            **({"trace": trace_id(submission.traceparent)} if submission.traceparent else {}),
        )


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


def _tallied(batch: Batch, results: Sequence[Result], word: Callable[[Result], str]) -> dict[str, tuple[int, str]]:
    """By word: how many results, and the transaction of the first."""
    counts = Counter(map(word, results))
    firsts: dict[str, str] = {}
    for submission, result in zip(batch.submissions, results, strict=True):
        firsts.setdefault(word(result), submission.transaction_id)
    return {name: (count, firsts[name]) for name, count in counts.items()}
