"""Text from outside for a terminal.

In: any text, values for JSON. Out: text that moves no cursor and sets no colour. Never: a control character.
"""

import json
import re
from typing import Any

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_NOT_ESCAPED = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""The same as far as `json` writes them as they are: it escapes those below the blank itself."""


def plain(text: str) -> str:
    """Control characters, those that turn the direction of writing, and lone surrogates become blanks."""
    return _UNPRINTABLE.sub(" ", text)


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """JSON that people can read, and that is safe to look at: what `plain` removes stands in it as an escape."""
    return _NOT_ESCAPED.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False, indent=indent)
    )
