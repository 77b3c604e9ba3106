"""Spans by OpenTelemetry, handed to a collector by OTLP over HTTP.

In: what happens to a mail. Out: four spans a mail: taken in, stored, waiting, sent; in the trace that its sender named, or in one of its own.
Never: a wait of the mail for the collector, more spans kept than a bound, an address, a subject, content.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from opentelemetry import trace
from opentelemetry.context import Context as OtelContext
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from qboxrelay.model.envelope import Envelope
from qboxrelay.model.submission import Submission
from qboxrelay.telemetry.tracing import Context, Sent, read_traceparent

_EXPORT_SECONDS = 5.0
_FAILED = frozenset({"failed", "held"})
Attributes = dict[str, str | int | Sequence[str]]


class OtelTracing:
    """A tracer of its own, not the process's global one. What the collector does not take in time is dropped."""

    on = True

    def __init__(self, *, endpoint: str, sample_ratio: float, name: str, version: str) -> None:
        resource = Resource.create(
            {"service.name": "qboxrelay", "service.version": version, "service.instance.id": name}
        )
        # At the exit the service closes it, within its own time.
        self._provider = TracerProvider(
            resource=resource, sampler=ParentBased(TraceIdRatioBased(sample_ratio)), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("qboxrelay", version)

    def receiving(self, envelope: Envelope, traceparent: str, account: str) -> "Taking":
        return Taking(self._tracer, envelope, _context(read_traceparent(traceparent)), account)

    def sent(self, attempts: Iterable[Sent]) -> None:
        for one in attempts:
            context = read_traceparent(one.submission.traceparent)
            if context is not None:
                self._sent(one, _context(context))

    def _sent(self, one: Sent, parent: OtelContext) -> None:
        submission = one.submission
        ids: Attributes = {"qboxrelay.submission_id": submission.id, "qboxrelay.account": one.account}
        if submission.attempt == 1 and submission.stored_at is not None:
            stored_at = min(submission.stored_at, one.started_at)
            waiting = self._tracer.start_span(
                "spool wait", context=parent, attributes=ids, start_time=_nanoseconds(stored_at)
            )
            waiting.end(_nanoseconds(one.started_at))
        span = self._tracer.start_span(
            "submission send",
            context=parent,
            kind=SpanKind.PRODUCER,
            attributes=ids | _answered(one),
            start_time=_nanoseconds(one.started_at),
        )
        if one.state in _FAILED or one.outcome != "accepted":
            span.set_status(Status(StatusCode.ERROR, one.outcome))
        span.end(_nanoseconds(max(one.started_at, one.ended_at)))

    async def close(self, grace: timedelta) -> None:
        """A collector that does not answer is left behind: its thread ends with the process."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # The loop has not waited so long.
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=shut_down, name="tracing", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace.total_seconds()):
                await closed.wait()


class Taking:
    """The span of a mail that is taken in, from MAIL until it is safe, and within it the one of the spool."""

    def __init__(self, tracer: trace.Tracer, envelope: Envelope, parent: OtelContext, account: str) -> None:
        self._tracer = tracer
        self._storing: Span | None = None
        self._span = tracer.start_span(
            "mail receive",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "qboxrelay.transaction_id": envelope.transaction_id,
                "qboxrelay.account": account,
                "qboxrelay.listener": envelope.client.listener,
                "qboxrelay.recipients": len(envelope.recipients),
                "client.address": envelope.client.address,
            },
            start_time=_nanoseconds(envelope.received_at),
        )

    @property
    def trace(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}"

    def marked(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        context = self._span.get_span_context()
        inside = trace.set_span_in_context(self._span, OtelContext())
        self._storing = self._tracer.start_span("spool put", context=inside)
        self._span.set_attribute("qboxrelay.submissions", len(submissions))
        text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        return [replace(submission, traceparent=text) for submission in submissions]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for span in (self._storing, self._span):
            if span is not None:
                if kind is not None:
                    # Its text may hold an address.
                    span.set_status(Status(StatusCode.ERROR, getattr(error, "rule", kind.__name__)))
                span.end()


def _answered(one: Sent) -> Attributes:
    attributes: Attributes = {
        "qboxrelay.attempt": one.submission.attempt,
        "qboxrelay.outcome": one.outcome,
        "qboxrelay.state": one.state,
        "qboxrelay.request_messages": one.messages,
    }
    if one.status is not None:
        attributes["http.response.status_code"] = one.status
    if one.request_id is not None:
        attributes["qboxrelay.request_id"] = one.request_id
    if one.message_id is not None:
        attributes["messaging.message.id"] = one.message_id
    return attributes


def _context(remote: Context | None) -> OtelContext:
    """An empty context where there is no parent: nothing of this process's may stand in."""
    if remote is None:
        return OtelContext()
    flags = TraceFlags(TraceFlags.SAMPLED if remote.sampled else TraceFlags.DEFAULT)
    span = SpanContext(remote.trace_id, remote.span_id, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(span), OtelContext())


def _nanoseconds(at: datetime) -> int:
    """Since 1970, exactly: a float of seconds has no room for them."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
