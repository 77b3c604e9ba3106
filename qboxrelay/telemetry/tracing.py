"""The way of a mail as spans of OpenTelemetry, or as nothing at no cost.

In: what happens to a mail, and the trace that its sender names. Out: spans, where `[tracing]` names a collector; the context that a
submission carries through the spool. Never: an import of OpenTelemetry where it is off; an address, a subject, content.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from qboxrelay.model.envelope import Envelope
from qboxrelay.model.submission import Claimed, Submission

HEADER = "traceparent"
"""https://www.w3.org/TR/trace-context/, as a field of the mail."""
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Context:
    """A span of somebody else, by its numbers."""

    trace_id: int
    span_id: int
    sampled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One attempt on one submission, when it has been recorded."""

    submission: Claimed
    account: str
    started_at: datetime
    ended_at: datetime
    outcome: str
    state: str
    status: int | None
    request_id: str | None
    message_id: str | None
    messages: int
    """Submissions in the same request."""


class Receiving(AbstractContextManager["Receiving"], Protocol):
    """The span of a mail that may come in. As a context it ends with the block, well or not."""

    @property
    def trace(self) -> str | None:
        """The trace's id, for the log; None where there is none."""
        ...

    def marked(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        """The same with the context that they carry; the spool is what comes next."""
        ...


class Tracing(Protocol):
    """What writes spans. `on` says whether anybody wants them: then the mail's own context is looked for."""

    on: bool

    def receiving(self, envelope: Envelope, traceparent: str, account: str) -> Receiving: ...

    def sent(self, attempts: Iterable[Sent]) -> None: ...

    async def close(self, grace: timedelta) -> None:
        """Hand over what is left, within so long."""
        ...


class _NoSpan:
    trace = None

    def marked(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        return submissions

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class NoTracing:
    """Nobody wants spans."""

    on = False
    _span = _NoSpan()

    def receiving(self, _envelope: Envelope, _traceparent: str, _account: str) -> _NoSpan:
        return self._span

    def sent(self, _attempts: Iterable[Sent]) -> None:
        return

    async def close(self, _grace: timedelta) -> None:
        return


OFF = NoTracing()


def named_trace(headers: Iterable[tuple[str, str]]) -> str:
    """What a mail's own traceparent says; empty without one, or with several: then none can be trusted (W3C Trace Context §4.3)."""
    found = [value for name, value in headers if name.lower() == HEADER]
    return found[0].strip() if len(found) == 1 else ""


def read_traceparent(text: str) -> Context | None:
    """None for what is no valid traceparent: it is then as if there were none (W3C Trace Context §3.2.2)."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace, 16) or not int(span, 16):
        return None
    return Context(int(trace, 16), int(span, 16), sampled=bool(int(flags, 16) & 1))


def trace_id(traceparent: str) -> str | None:
    """The trace's id for the log, of a context that we wrote; None where there is none."""
    return traceparent[3:35] or None


def open_tracing(*, endpoint: str, sample_ratio: float, name: str, version: str) -> Tracing:
    """`endpoint` is the URL of an OTLP/HTTP collector's traces; empty: no tracing. Raises ImportError without the extra `otel`."""
    if not endpoint:
        return OFF
    from qboxrelay.telemetry.otel import OtelTracing  # noqa: PLC0415 - costs half a second and the extra

    return OtelTracing(endpoint=endpoint, sample_ratio=sample_ratio, name=name, version=version)
