"""What of a mail address or a subject the log may show.

In: the fields of one event. Out: the same fields, as the settings allow them. Never: an exception, and no mail address in the
clear where the setting says otherwise, under whatever name it comes.
"""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

Detail = Literal["full", "domain", "hash", "off"]
SubjectDetail = Literal["full", "hash", "off"]

_SECRETS = frozenset({"token", "password", "secret", "authorization", "api_key"})
_WHOLE = frozenset({"sender", "recipient", "recipients", "address", "from_address", "reply_to"})
"""Fields that hold nothing but addresses, so that blanks in a quoted local part hide nothing."""
_LOOKALIKES = frozenset({"message_id", "message_id_header", "request_id", "traceparent"})
"""Ids with an @ in them that name no person."""
_ADDRESS = re.compile(r"""[^\s<>()\[\]{}"',;:=]+@[^\s<>()\[\]{}"',;:=]+""")


class Masking:
    """Masks the fields of an event. Called for every line: where everything may be shown, only names are looked at."""

    def __init__(self, *, addresses: Detail, subjects: SubjectDetail) -> None:
        self._mask = _MASKS[addresses]
        self._full = addresses == "full"
        self._subjects = subjects

    def __call__(self, fields: dict[str, Any]) -> dict[str, Any]:
        """`fields` are the masking's from now on: what may not be shown is taken out of them."""
        if not fields.keys().isdisjoint(_SECRETS):
            fields = {name: "***" if name in _SECRETS else value for name, value in fields.items()}
        if self._subjects != "full" and "subject" in fields:
            subject = fields.pop("subject")
            if self._subjects == "hash" and subject:
                fields["subject"] = _hash(str(subject))
        if self._full:
            return fields
        return {name: self._masked(name, value) for name, value in fields.items()}

    def _masked(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            if "@" not in value or name in _LOOKALIKES:
                return value
            return self._mask(value) if name in _WHOLE else _ADDRESS.sub(self._found, value)
        if isinstance(value, list | tuple):
            return [self._masked(name, item) for item in value]
        if isinstance(value, dict):
            return {inner: self._masked(str(inner), item) for inner, item in value.items()}
        return value

    def _found(self, match: re.Match[str]) -> str:
        return self._mask(match.group())


def _domain(address: str) -> str:
    return "*@" + address.rpartition("@")[2]


@lru_cache(maxsize=1024)
def _hash(address: str) -> str:
    """The same for the same mailbox on every run, so that lines can be matched; whoever knows an address (or a subject) can find it."""
    return "#" + hashlib.blake2b(address.casefold().encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


_MASKS: dict[Detail, Callable[[str], str]] = {
    "full": lambda address: address,
    "domain": _domain,
    "hash": _hash,
    "off": lambda _address: "***",
}
