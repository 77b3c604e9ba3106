"""Patterns of addresses and names, as rules in the configuration write them.

In: text with `*` and `?`. Out: whether an address or a name matches. Never: brackets with a meaning of their own: they stand in address
literals (RFC 5321 §4.1.3).
"""

import re
from collections.abc import Sequence

from qboxrelay.model.address import Address, domain_key, unquoted


class Patterns:
    """Several patterns of which one must match, whatever the case."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._match = re.compile("|".join(map(_expression, patterns)), re.DOTALL).fullmatch

    def match(self, text: str) -> bool:
        """For a name, or the text of an address by `folded`."""
        return self._match(text.casefold()) is not None


def folded(address: Address) -> str:
    """The text of an address that patterns are held against: the same for all spellings of what people take for one mailbox."""
    return f"{unquoted(address.local).casefold()}@{domain_key(address.domain)}"


def _expression(pattern: str) -> str:
    local, at, domain = pattern.rpartition("@")
    text = f"{local}{at}{'.'.join(map(_label, domain.split('.')))}" if at else pattern
    first, *others = [
        "".join("." if character == "?" else re.escape(character) for character in part)
        for part in text.casefold().split("*")
    ]
    if not others:
        return first
    *inner, last = others
    # Atomic: the first place where a part stands will do, so that no pattern makes a long address slow to match.
    return "".join([first, *(f"(?>.*?{part})" for part in inner if part), ".*", last])


def _label(label: str) -> str:
    """One label of a domain, in the form that `folded` has; with a wildcard in it there is no such form."""
    return label if "*" in label or "?" in label else domain_key(label)
