"""Values of the schema as TOML writes them.

In: a value as the schema holds it. Out: its TOML text, which loads back to the same value. Never: a secret's text.
"""

from datetime import timedelta
from typing import Any

from qboxrelay.settings.typed import ByteSize
from qboxrelay.settings.types import format_duration

_SIZES = (
    ("TB", 10**12),
    ("GB", 10**9),
    ("MB", 10**6),
    ("KB", 10**3),
    ("TiB", 2**40),
    ("GiB", 2**30),
    ("MiB", 2**20),
    ("KiB", 2**10),
)
_GROUPED = 10_000
"""From here on digits are grouped: `1_000_000`."""


def to_toml(value: Any) -> str:
    """One value on one line."""
    match value:
        case bool():
            text = "true" if value else "false"
        case ByteSize():
            text = quoted(format_size(value))
        case int():
            text = f"{value:_}" if value >= _GROUPED else str(value)
        case float():
            text = str(value)
        case timedelta():
            text = quoted(format_duration(value))
        case tuple() | list():
            text = "[" + ", ".join(map(to_toml, value)) + "]"
        case dict():
            pairs = ", ".join(f"{quoted(name)} = {to_toml(item)}" for name, item in value.items())
            text = f"{{ {pairs} }}" if pairs else "{}"
        case _:
            text = quoted("" if value is None else str(value))
    return text


def format_size(value: int) -> str:
    """The shortest text that means the same number of bytes: `49MB`, `16MiB`."""
    for unit, size in _SIZES:
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return f"{value}B"


def quoted(text: str) -> str:
    """A basic string (TOML 1.0, String)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
