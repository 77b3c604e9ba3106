"""One request: post a batch, judge the answer, record what became of each submission.

In: a leased batch. Out: recorded outcomes, the halves that are to be sent alone, what the account learns from the answer. Never: a
surprise that ends the lane or loses the batch.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from qboxrelay import failpoints
from qboxrelay.dispatch.gate import Condition, Gate
from qboxrelay.dispatch.rate import RateLimit
from qboxrelay.dispatch.record import Recorder
from qboxrelay.dispatch.report import Reporter
from qboxrelay.dispatch.settle import Settler
from qboxrelay.dispatch.size import BatchSize
from qboxrelay.model.clock import Clock
from qboxrelay.model.outcome import Accepted, Deferred, Unknown
from qboxrelay.model.submission import Batch, Claimed, State
from qboxrelay.qboxmail.answer import Answer, Effect, Verdict, read_answer
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.spool.port import RequestResult, Result

log = structlog.get_logger()

_FORBIDDEN = 403


class Noticing(Protocol):
    """What is needed of `dispatch.notices.Notices`."""

    def mark(self, submission: Claimed, result: Result, now: datetime) -> Result: ...

    def wake(self) -> None: ...


class Posting(Protocol):
    """What is needed of `qboxmail.send.SendClient`."""

    async def post(self, payloads: Sequence[bytes]) -> Answer | Deferred | Unknown: ...


class Requests:
    """The requests of one account; several may be under way."""

    def __init__(
        self,
        *,
        client: Posting,
        recorder: Recorder,
        reporter: Reporter,
        settler: Settler,
        gate: Gate,
        size: BatchSize,
        rate: RateLimit,
        lease: timedelta,
        clock: Clock,
        confirmations: Confirmations,
        notices: Noticing | None = None,
        told: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`told` returns when other relays on the spool know what was learnt here."""
        self._told = told
        self._client = client
        self._recorder = recorder
        self._reporter = reporter
        self._settler = settler
        self._gate = gate
        self._size = size
        self._rate = rate
        self._lease = lease
        self._clock = clock
        self._confirmations = confirmations
        self._notices = notices

    async def send(self, batch: Batch) -> list[Batch]:
        """Send the batch once. Returns halves of it, leased anew, that are to be sent before anything else."""
        try:
            return await self._send(batch)
        except Exception:
            # A surprise is temporary for the mail, and nobody knows how far the request got.
            log.exception("attempt.crashed", account=batch.account, request=batch.request_key)
        surprise = Unknown(reason="internal", text="an internal error of the relay")
        try:
            verdict = _verdict(surprise, len(batch.submissions))
            await self._settle(batch, verdict, RequestResult(error="internal", text=surprise.text), self._clock.now())
        except Exception:
            log.exception(
                "record.crashed", account=batch.account, hint="the attempt ends unknown when its lease runs out"
            )
            for submission in batch.submissions:
                self._confirmations.lost(submission.id)
        return []

    async def _send(self, batch: Batch) -> list[Batch]:
        started_at, started = self._clock.now(), self._clock.monotonic()
        failpoints.reach("after-claim")
        answer = await self._post(batch)
        failpoints.reach("after-answer")
        verdict = self._judge(answer, batch)
        request = _request_result(answer, verdict)
        with _aside(batch):
            self._reporter.ended(batch, request, self._clock.monotonic() - started)
            self._learn(verdict, batch)
        if self._told is not None:
            with _aside(batch):
                # Before the mail is due again, for whoever claims it then.
                await self._told()
        if verdict.effect is Effect.BISECT:
            return await self._bisect(batch, request)
        await self._settle(batch, verdict, request, started_at)
        return []

    async def _post(self, batch: Batch) -> Answer | Deferred | Unknown:
        with _aside(batch):
            self._reporter.started(batch)
        try:
            return await self._client.post([submission.payload for submission in batch.submissions])
        finally:
            with _aside(batch):
                self._reporter.stopped(batch)

    def _judge(self, answer: Answer | Deferred | Unknown, batch: Batch) -> Verdict:
        if isinstance(answer, Answer):
            return read_answer(answer, [submission.recipients for submission in batch.submissions], self._clock.now())
        return _verdict(answer, len(batch.submissions))

    def _learn(self, verdict: Verdict, batch: Batch) -> None:
        """What the answer means for the next requests."""
        first = verdict.outcomes[0]
        wait = first.retry_after if isinstance(first, Deferred) else None
        reason = verdict.text or verdict.error or ""
        now = self._clock.monotonic()
        # No answer, or one about this machine's address, is no word on the account.
        everywhere = verdict.status is not None and verdict.status != _FORBIDDEN
        if self._gate.judge(verdict.effect, now, reason=reason, retry_after=wait, everywhere=everywhere):
            self._reporter.condition(batch.account, self._gate.status(now))
            if verdict.effect is Effect.RATE:
                self._rate.too_fast()
            if self._gate.condition is Condition.TROUBLE:
                self._size.restart()
        self._resize(verdict, batch)

    def _resize(self, verdict: Verdict, batch: Batch) -> None:
        # With a comma for each, as the spool counts.
        count, size = len(batch.submissions), batch.payload_bytes + len(batch.submissions)
        if verdict.effect is Effect.SMALLER:
            self._size.refused(count, size, by_bytes=verdict.status == 413)
        elif verdict.effect is Effect.BISECT:
            self._size.poisoned(count, size)
        elif self._gate.condition is Condition.RUNNING and any(isinstance(one, Accepted) for one in verdict.outcomes):
            self._size.accepted()
            self._rate.accepted()

    async def _settle(self, batch: Batch, verdict: Verdict, request: RequestResult, started_at: datetime) -> None:
        now = self._clock.now()
        results = [
            self._marked(submission, self._settler.settle(submission, outcome, now), now)
            for submission, outcome in zip(batch.submissions, verdict.outcomes, strict=True)
        ]
        if verdict.status == _FORBIDDEN and len(results) == 1:
            results = [self._settler.aside(results[0], now)]
        await self._record(batch, request, results, started_at)
        with _aside(batch):
            self._reporter.traced(batch, request, results, started_at=started_at, ended_at=now)

    async def give_up(self, batch: Batch, text: str) -> None:
        """Fail a batch that nothing was sent of, for its age."""
        now = self._clock.now()
        results = [self._marked(one, self._settler.give_up(one, text), now) for one in batch.submissions]
        await self._record(batch, RequestResult(error="expired", text=text), results, now)

    async def _record(
        self, batch: Batch, request: RequestResult, results: Sequence[Result], started_at: datetime
    ) -> None:
        await self._recorder.record(batch, request, results)
        failpoints.reach("after-record")
        for submission, result in zip(batch.submissions, results, strict=True):
            self._confirmations.recorded(submission.id, request, result)
        if self._notices is not None and any(result.notice for result in results):
            self._notices.wake()
        with _aside(batch):
            self._reporter.settled(batch, request, results, started_at)

    def _marked(self, submission: Claimed, result: Result, now: datetime) -> Result:
        # Nobody is told of what was sent, which is nearly all.
        if self._notices is None or result.state is State.SENT:
            return result
        if result.state is State.FAILED and self._confirmations.will_tell(submission.id):
            return result
        return self._notices.mark(submission, result, now)

    async def _bisect(self, batch: Batch, request: RequestResult) -> list[Batch]:
        """The halves are sent alone: down to the culprit, and the innocent do not wait for it."""
        keys = [submission.key for submission in batch.submissions]
        middle = len(keys) // 2
        return await self._recorder.split(batch, request, [keys[:middle], keys[middle:]], self._lease)


@contextmanager
def _aside(batch: Batch) -> Iterator[None]:
    """Around what is said and learnt of a request: a surprise there must not make an accepted mail one that is sent again."""
    try:
        yield
    except Exception:
        log.exception("report.crashed", account=batch.account, request=batch.request_key)


def _verdict(outcome: Deferred | Unknown, count: int) -> Verdict:
    """A request without an answer is trouble; without a token it is the configuration."""
    effect = Effect.CONFIGURATION if outcome.reason == "token" else Effect.TROUBLE
    return Verdict(outcomes=(outcome,) * count, effect=effect, error=outcome.reason, text=outcome.text)


def _request_result(answer: Answer | Deferred | Unknown, verdict: Verdict) -> RequestResult:
    return RequestResult(
        status=verdict.status,
        request_id=verdict.request_id,
        error=verdict.error,
        text=verdict.text,
        connect_seconds=answer.connect_seconds if isinstance(answer, Answer) else None,
        answer_seconds=answer.answer_seconds if isinstance(answer, Answer) else None,
    )
