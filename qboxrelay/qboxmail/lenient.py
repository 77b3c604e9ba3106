"""Values of the Management API, whatever shape they come in.

In: decoded JSON. Out: texts. Never: an error: the reference's samples show a string for nearly every field, also for counts, lists and
booleans (API pages getApiDeliveryDomains, getApiDeliveryAccountsId), so that no shape is certain.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

_BETWEEN = re.compile(r"[\s,;\[\]\"']+")
"""Also what stands between the members of a JSON list that came as a text."""
_MAX_TEXT = 2000
_MAX_DIGITS = 9
_MAX_LEVELS = 8
"""The documented fields need three."""


def text_of(value: object) -> str:
    """A scalar as text, in one line; empty for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)[:_MAX_TEXT]).split())
    return ""


def count_of(value: object) -> int | None:
    """A count that came as a number or as its digits; None for anything else."""
    text = text_of(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


def word_of(value: object) -> str:
    """A word of an enumeration in one spelling: `Not verified` and `not-verified` are `not_verified`."""
    return re.sub(r"[\s-]+", "_", text_of(value).lower())


def references(value: object, names: Sequence[str]) -> frozenset[str] | None:
    """What refers to other resources: a text of several, a list of texts or numbers, a list of objects that have some of `names`. None
    when there is nothing to read.
    """
    if value is None:
        return None
    if isinstance(value, str | int):
        return frozenset(filter(None, _BETWEEN.split(text_of(value))))
    if isinstance(value, dict):
        return _of_object(value, names)
    if isinstance(value, list):
        found = [references(item, names) for item in value]
        return frozenset[str]().union(*(item for item in found if item is not None)) if None not in found else None
    return None


def _of_object(value: dict[str, Any], names: Sequence[str]) -> frozenset[str] | None:
    named = frozenset(filter(None, (text_of(value.get(name)) for name in names)))
    return named or None


def pruned(value: object, levels: int = _MAX_LEVELS) -> object:
    """The same without what lies too deep to be a field: JSON may be nested deeper than Python's stack."""
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return None
    if isinstance(value, dict):
        return {name: pruned(item, levels - 1) for name, item in value.items()}
    return [pruned(item, levels - 1) for item in value]


def texts_in(value: object) -> Iterator[str]:
    """Every text inside, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
