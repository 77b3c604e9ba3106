"""Logging: structlog's configuration, set once, and the way of an event to its line.

In: the `[log]` settings, a stream, perhaps the journal of systemd. Out: `structlog.get_logger()` that works everywhere. Never: an
exception into the code that logs, whatever happens to the stream or a value; a secret; the content of a mail.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import structlog

from qboxrelay.telemetry.journal import SOCKET, Journal
from qboxrelay.telemetry.library_logs import forward_library_logs
from qboxrelay.telemetry.masking import Detail, Masking, SubjectDetail
from qboxrelay.telemetry.rendering import Renderer, as_octets, console_line, exception_as_data, json_line, json_now
from qboxrelay.telemetry.repetition import Repetition
from qboxrelay.telemetry.sinks import Entries, Entry, Lines

_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_GENERAL = frozenset({"exc_info", "timestamp", "level"})
"""Fields with which an event takes the long way."""
_NO_JOURNAL = "lines go to standard error as JSON; where there is no systemd, set format in [log] to json or console"


class LogChoices(Protocol):
    """What the `[log]` section says."""

    @property
    def format(self) -> Literal["json", "console", "journald", "auto"]: ...
    @property
    def level(self) -> Literal["debug", "info", "warning", "error"]: ...
    @property
    def addresses(self) -> Detail: ...
    @property
    def subjects(self) -> SubjectDetail: ...
    @property
    def repeat_every(self) -> timedelta: ...


def configure(
    settings: LogChoices,
    stream: TextIO | None,
    *,
    journal: Path = SOCKET,
    monotonic: Callable[[], float] = time.monotonic,
    always: Mapping[str, Any] | None = None,
) -> None:
    """Send every logger of this process to `stream`, or to the socket `journal`; None is what Python has for a standard stream that was closed.

    `always` are fields of every line. Loggers that have been used before keep what they had.
    """
    found, trouble = _journal(journal) if settings.format == "journald" else (None, None)
    terminal = _is_terminal(stream)
    as_json = settings.format in {"json", "journald"} or (settings.format == "auto" and not terminal)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    pipeline = _Pipeline(
        masking=Masking(addresses=settings.addresses, subjects=settings.subjects),
        repetition=Repetition(every=settings.repeat_every.total_seconds(), monotonic=monotonic),
        render=Entry if found is not None else _written(json_line if as_json else console_line(colours=terminal)),
        as_json=as_json and found is None,
        level=level,
        always=dict(always or {}),
    )
    lines = Lines(stream)
    structlog.configure(
        processors=[pipeline],
        # The pipeline looks at the level: loggers that have been used keep their class, and a reload may change the level.
        wrapper_class=_Logger,
        logger_factory=lines if found is None else Entries(found, lines),
        cache_logger_on_first_use=True,
    )
    forward_library_logs(max(level, logging.WARNING))
    if trouble is not None:
        structlog.get_logger().warning("log.no_journal", socket=str(journal), error=trouble, hint=_NO_JOURNAL)


def change_level(settings: LogChoices) -> None:
    """Take over the level, and what is masked, for loggers that have been used as well."""
    pipeline = structlog.get_config()["processors"][0]
    if isinstance(pipeline, _Pipeline):
        pipeline.level = logging.getLevelNamesMapping()[settings.level.upper()]
        pipeline.masking = Masking(addresses=settings.addresses, subjects=settings.subjects)


@contextmanager
def together() -> Iterator[None]:
    """Lines that this thread logs within the block are written in few goes at its end, well or not: for who says much at once, and does
    not wait (nor await) meanwhile.
    """
    sink = structlog.get_config()["logger_factory"]
    if isinstance(sink, Lines):
        with sink.together():
            yield
    else:
        yield


def _journal(path: Path) -> tuple[Journal | None, str | None]:
    """The journal, or why there is none."""
    try:
        return Journal(path), None
    except OSError as error:
        return None, error.strerror or str(error)


class _Pipeline:
    """All that happens to an event between the call and its line, in one processor, so that nothing of it can raise."""

    def __init__(
        self,
        *,
        masking: Masking,
        repetition: Repetition,
        render: Callable[[dict[str, Any]], Any],
        as_json: bool,
        level: int,
        always: dict[str, Any],
    ) -> None:
        self.level = level
        self.masking = masking
        self._repetition = repetition
        self._render = render
        self._as_json = as_json
        self._always = always

    def __call__(self, sink: Any, method: str, event: Any) -> Any:
        """Hands `sink` what is to be written: mostly one line; none for what is only counted, more where a count is due."""
        level = "error" if method == "exception" else method
        if _LEVELS[level] < self.level:
            return event
        try:
            # A look for fields that are bound to the task takes longer than to see that there is no context at all, as for most mails.
            fields = {**structlog.contextvars.get_contextvars(), **event} if copy_context() else event
            if self._always:
                fields |= self._always
            if self._as_json and fields.keys().isdisjoint(_GENERAL) and self._repetition.passes(level, fields["event"]):
                lines: Sequence[Any] = (json_now(level, fields.pop("event"), self.masking(fields)),)
            else:
                lines = self._considered(level, fields)
        except Exception as error:  # noqa: BLE001 - a line that cannot be written must not fail the mail it speaks of
            lines = (self._unwritable(level, error),)
        for line in lines:
            sink.msg(line)
        return event

    def _considered(self, level: str, fields: dict[str, Any]) -> list[Any]:
        fields["level"] = level
        return [self._line(one) for one in self._repetition(fields)]

    def _line(self, fields: dict[str, Any]) -> Any:
        fields["timestamp"] = datetime.now(UTC)
        return self._render(self.masking(self._with_exception(fields)))

    def _unwritable(self, level: str, error: Exception) -> Any:
        fields = {"level": level, "event": "log.unwritable", "error": type(error).__name__}
        return Entry(fields) if self._render is Entry else as_octets(json_line(fields))

    def _with_exception(self, fields: dict[str, Any]) -> dict[str, Any]:
        if "exc_info" not in fields:
            return fields
        if self._as_json:
            return dict(exception_as_data(None, fields["level"], fields))
        return dict(structlog.processors.format_exc_info(None, fields["level"], fields))


class _Logger(structlog.BoundLoggerBase):
    """What `structlog.get_logger()` gives. structlog's own pack the fields of an event four times on their way, and some lines are one a mail."""

    def _say(self, method: str, event: str, fields: dict[str, Any]) -> None:
        """`fields` were packed for this call: whoever comes next may change them."""
        entry: Any = {**self._context, **fields} if self._context else fields
        entry["event"] = event
        try:
            for process in self._processors:
                entry = process(self._logger, method, entry)
        except structlog.DropEvent:
            return

    def debug(self, event: str, **fields: Any) -> None:
        self._say("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._say("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._say("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        self._say("exception", event, {"exc_info": True, **fields})


def _written(render: Renderer) -> Callable[[dict[str, Any]], bytes]:
    return lambda fields: as_octets(render(fields))


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
