"""Logging: structlog's configuration, set once, and the stream that lines go to.

In: the `[log]` settings, a stream, perhaps the journal of systemd. Out: `structlog.get_logger()` that works everywhere. Never: an
exception into the code that logs, whatever happens to the stream or a value; a secret; the content of a mail.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import structlog

from qboxrelay.telemetry.journal import SOCKET, Journal, journal_entry
from qboxrelay.telemetry.library_logs import forward_library_logs
from qboxrelay.telemetry.masking import Detail, Masking, SubjectDetail
from qboxrelay.telemetry.rendering import console_line, exception_as_data, json_line
from qboxrelay.telemetry.repetition import Repetition

_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
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
        render=_Entry if found is not None else json_line if as_json else console_line(colours=terminal),
        exceptions_as_data=as_json and found is None,
        level=level,
        always=dict(always or {}),
    )
    lines = _Lines(stream)
    structlog.configure(
        processors=[pipeline],
        # The pipeline looks at the level: loggers that have been used keep their class, and a reload may change the level.
        wrapper_class=_Logger,
        logger_factory=lines if found is None else _Entries(found, lines),
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
        exceptions_as_data: bool,
        level: int,
        always: dict[str, Any],
    ) -> None:
        self.level = level
        self.masking = masking
        self._repetition = repetition
        self._render = render
        self._exceptions_as_data = exceptions_as_data
        self._always = always

    def __call__(
        self, _logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the logger is called with: mostly one line; none for what is only counted, more where a count is due."""
        level = "error" if method == "exception" else method
        if _LEVELS[level] < self.level:
            raise structlog.DropEvent
        try:
            fields = structlog.contextvars.get_contextvars()
            fields |= event
            fields |= self._always
            fields["level"] = level
            written = self._repetition(fields)
            lines = tuple([self._line(one) for one in written])
        except Exception as error:  # noqa: BLE001 - a line that cannot be written must not fail the mail it speaks of
            lines = (self._unwritable(level, error),)
        if not lines:
            raise structlog.DropEvent
        return lines, {}

    def _line(self, fields: dict[str, Any]) -> Any:
        fields["timestamp"] = datetime.now(UTC)
        return self._render(self.masking(self._with_exception(fields)))

    def _unwritable(self, level: str, error: Exception) -> Any:
        fields = {"level": level, "event": "log.unwritable", "error": type(error).__name__}
        return _Entry(fields) if self._render is _Entry else json_line(fields)

    def _with_exception(self, fields: dict[str, Any]) -> dict[str, Any]:
        if "exc_info" not in fields:
            return fields
        if self._exceptions_as_data:
            return dict(exception_as_data(None, fields["level"], fields))
        return dict(structlog.processors.format_exc_info(None, fields["level"], fields))


class _Logger(structlog.BoundLoggerBase):
    """What `structlog.get_logger()` gives. structlog's own pack the fields of an event four times on their way, and some lines are one a mail."""

    def _say(self, method: str, event: str, fields: dict[str, Any]) -> None:
        entry: Any = {**self._context, **fields, "event": event}
        try:
            for process in self._processors:
                entry = process(self._logger, method, entry)
        except structlog.DropEvent:
            return
        lines, _ = entry
        self._logger.msg(*lines)

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


class _Entry:
    """One event for the journal. `line` says the same where the journal takes nothing."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.octets = journal_entry(fields)
        self._fields = fields

    def line(self) -> str:
        return json_line(self._fields)


class _Entries:
    """The logger under structlog's where the journal is the log. What it does not take goes to the stream, so that nothing is lost."""

    def __init__(self, journal: Journal, lines: "_Lines") -> None:
        self._journal = journal
        self._lines = lines

    def __call__(self, *_arguments: Any) -> "_Entries":
        return self

    def msg(self, *entries: _Entry) -> None:
        for entry in entries:
            try:
                self._journal.send(entry.octets)
            except OSError:
                self._lines.msg(entry.line())


class _Lines:
    """The logger under structlog's: writes a line, at once and whole, and loses it where the stream is gone."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._descriptor = _descriptor(stream)

    def __call__(self, *_arguments: Any) -> "_Lines":
        return self

    def msg(self, *lines: str) -> None:
        octets = b"".join(line.encode("utf-8", "backslashreplace") + b"\n" for line in lines)
        try:
            with self._lock:
                self._write(octets)
        except (OSError, ValueError):
            return  # A full disk or a closed pipe is no reason to stop the mail.

    def _write(self, octets: bytes) -> None:
        # Past the stream's buffer: what it could not write it would keep, try again with every line and at the exit.
        if self._descriptor is not None:
            while octets:
                octets = octets[os.write(self._descriptor, octets) :]
        elif self._stream is not None:
            self._stream.write(octets.decode())
            self._stream.flush()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None
