"""What libraries log by the standard library's `logging`, brought into our log.

In: records of warning and above. Out: events `library.logged`. Never: a record's arguments from the SMTP library, which may be
content; request lines and other talk below warning.
"""

import logging

import structlog

_CONTENT_LOGGERS = ("mail.",)
"""aiosmtpd's `mail.log` formats commands and data lines into its records."""


def forward_library_logs(level: int) -> None:
    """Make one handler of ours the only one of the root logger, and its level the least that passes."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, Forward)]:
        root.removeHandler(handler)
    root.addHandler(Forward(level))
    root.setLevel(level)


class Forward(logging.Handler):
    """Turns a record into an event of structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        private = record.name.startswith(_CONTENT_LOGGERS)
        log = structlog.get_logger()
        say = log.error if record.levelno >= logging.ERROR else log.warning
        say(
            "library.logged",
            logger=record.name,
            text=str(record.msg) if private else _text(record),
            **_exception(record, private=private),
        )


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return str(record.msg)


def _exception(record: logging.LogRecord, *, private: bool) -> dict[str, object]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    if private:
        return {"error": type(record.exc_info[1]).__name__}
    return {"exc_info": record.exc_info}
