"""Lines of the log: events as JSON or as text for people.

In: the fields of one event. Out: one line. Never: local variables of a traceback, the inside of a value that is not plain data
(it might be a mail), a control character that a terminal would obey.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePath
from typing import Any

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer

_HEAD = ("timestamp", "level", "event")
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_UTC_Z
_OPTIONS = _STRICT | orjson.OPT_NON_STR_KEYS
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_IN_TRACEBACK = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

Renderer = Callable[[dict[str, Any]], str]

exception_as_data = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def json_line(fields: dict[str, Any]) -> str:
    """One JSON object; time, level and event come first, for the eye."""
    ordered = {name: fields.pop(name) for name in _HEAD if name in fields}
    ordered.update(fields)
    try:
        line = orjson.dumps(ordered, default=plain, option=_OPTIONS).decode()
    except TypeError:
        # Lone surrogates and integers over 64 bit, which orjson refuses and json can write.
        return json.dumps(ordered, default=plain, skipkeys=True)
    return line if line.isascii() else _tame(line)


def json_now(level: str, event: str, fields: dict[str, Any]) -> bytes:
    """The line, its end included, that `json_line` makes of an event that happens now. `fields` are all but time, level and event.

    The head is written apart and joined to the rest: to put it before the other fields in one dict would take as long as the JSON itself.
    """
    now = datetime.now(UTC)
    try:
        # Without OPT_NON_STR_KEYS, which doubles the time: fields have names.
        rest = orjson.dumps(fields, default=plain, option=_STRICT | orjson.OPT_APPEND_NEWLINE)
        line = b'{"timestamp":' + orjson.dumps(now, option=_STRICT) + _head(level, event) + rest[1:]
    except TypeError:
        line = b""
    if not line or not fields:
        return as_octets(json_line({"timestamp": now, "level": level, "event": event, **fields}))
    return line if line.isascii() else as_octets(_tame(line.decode()[:-1]))


def as_octets(line: str) -> bytes:
    """As it is written, its end included."""
    return line.encode("utf-8", "backslashreplace") + b"\n"


@lru_cache(maxsize=256)
def _head(level: str, event: str) -> bytes:
    """Of the few events that there are."""
    return b"," + orjson.dumps({"level": level, "event": event})[1:-1] + b","


def _tame(line: str) -> str:
    """JSON lets pass what some terminals obey and some readers take for the end of a line."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", line)


def console_line(*, colours: bool) -> Renderer:
    """A renderer for people, with or without colours: a field without a value is only in the eye's way."""
    console = structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False, pad_event_to=24
    )

    def render(fields: dict[str, Any]) -> str:
        plainly = {
            name: value if name == "exc_info" else shown(name, value)
            for name, value in fields.items()
            if value is not None
        }
        return str(console(None, "", plainly))

    return render


def shown(name: str, value: Any) -> Any:
    """A value for people: no control characters, and of what is not plain data only its type."""
    if isinstance(value, str):
        controls = _CONTROL_IN_TRACEBACK if name == "exception" else _CONTROL
        return controls.sub(lambda match: f"\\x{ord(match.group()):02x}", value)
    if isinstance(value, list | tuple):
        return " ".join(str(shown(name, item)) for item in value)
    if isinstance(value, dict):
        return {str(key): shown(str(key), item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    return plain(value)


def plain(value: Any) -> Any:
    """What stands in a line for a value that JSON does not know. Only types that cannot hold a mail show what is in them."""
    match value:
        case timedelta():
            said: Any = value.total_seconds()
        case datetime() | date():
            said = value.isoformat().replace("+00:00", "Z")
        case PurePath() | IPv4Address() | IPv6Address():
            said = str(value)
        case set() | frozenset():
            said = sorted(map(str, value))
        case BaseException():
            said = f"{type(value).__name__}: {value}"
        case Enum():
            said = value.value
        case _:
            said = f"<{type(value).__name__}>"
    return said
