"""Custom headers of a message (API page send): an object of strings, numbers, booleans, or arrays of these.

In: the decoded `headers`. Out: None, or what is wrong. Never: a name or a value in the text.
"""

import re

from qboxrelay.sandbox.switches import Switches

_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 §3.6.8: printable US-ASCII without the colon
_LINE_END = re.compile(r"[\r\n\0]")


def check_headers(headers: object, switches: Switches) -> str | None:
    if not isinstance(headers, dict) or not all(_is_value(value) for value in headers.values()):
        return "`headers` must be an object of strings, numbers, booleans or arrays of these"
    if switches.header_syntax and not all(_is_clean(name, value) for name, value in headers.items()):
        return "`headers` has a name or a value that no header field can have"
    reserved = {name.lower() for name in switches.reserved_headers}
    if reserved and any(name.lower() in reserved for name in headers):
        return "`headers` has a reserved name"
    return None


def _is_value(value: object) -> bool:
    items = value if isinstance(value, list) else (value,)
    return all(isinstance(item, str | int | float) for item in items)


def _is_clean(name: str, value: object) -> bool:
    items = value if isinstance(value, list) else (value,)
    texts = (item for item in items if isinstance(item, str))
    return _NAME.fullmatch(name) is not None and not any(_LINE_END.search(text) for text in texts)
