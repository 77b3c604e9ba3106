"""Addresses as the Send API takes them (API page send): strings of RFC 5322 mailboxes, objects, arrays of both.

In: a decoded JSON value. Out: the plain addresses in it. Never: an address that is none.
"""

import re
from functools import lru_cache

_ATOM = r"[^\s\x00-\x20\x7f\"(),:;<>@\[\]\\]+"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
_LABEL = r"(?!-)[A-Za-z0-9\u0080-\U0010ffff_-]{1,63}(?<!-)"
_LITERAL = r"\[[0-9A-Za-z.:-]+\]"
_ADDRESS = rf"(?:{_ATOM}|{_QUOTED})@(?:{_LABEL}(?:\.{_LABEL})*|{_LITERAL})"
_NAME = (
    rf'(?:{_QUOTED}|[^\x00-\x1f\x7f<>\[\]:;@\\,"])*'  # RFC 5322 §3.4, with dots, comments and characters beyond ASCII
)
_MAILBOX = re.compile(rf" *(?:({_ADDRESS})|{_NAME}<({_ADDRESS})>) *(?:,|\Z)")
_MAX_ADDRESS = 254
_OBJECT_FIELDS = {"address", "name"}


def read_mailbox(value: object, *, unknown_fields: bool = True) -> str | None:
    """The address of one mailbox: a string with exactly one, or an object. None when it is neither."""
    if isinstance(value, list):
        return None
    found = read_addresses(value, unknown_fields=unknown_fields)
    return found[0] if found is not None and len(found) == 1 else None


def read_addresses(value: object, *, unknown_fields: bool = True) -> tuple[str, ...] | None:
    """The addresses of an AddressList; None when a part of it is not an address."""
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, dict):
        return _of_object(value, unknown_fields=unknown_fields)
    if not isinstance(value, list):
        return None
    found: list[str] = []
    for item in value:
        part = None if isinstance(item, list) else read_addresses(item, unknown_fields=unknown_fields)
        if part is None:
            return None
        found += part
    return tuple(found)


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


@lru_cache(maxsize=4096)
def _of_text(text: str) -> tuple[str, ...] | None:
    """Mailboxes one after another, with a comma between two and none at the end."""
    found: list[str] = []
    at = 0
    while at < len(text) or not found or text.endswith(","):
        mailbox = _MAILBOX.match(text, at)
        address = (mailbox[1] or mailbox[2]) if mailbox else ""
        if mailbox is None or len(address) > _MAX_ADDRESS:
            return None
        found.append(address)
        at = mailbox.end()
    return tuple(found)


def _of_object(value: dict[str, object], *, unknown_fields: bool) -> tuple[str, ...] | None:
    address, name = value.get("address"), value.get("name", "")
    if not isinstance(address, str) or not isinstance(name, str) or _of_text(address) != (address,):
        return None
    return (address,) if unknown_fields or value.keys() <= _OBJECT_FIELDS else None
