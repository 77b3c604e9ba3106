"""How soon a mail is to leave, by what it says of itself.

In: header fields. Out: a priority as `Submission` has it. Never: an effect on other clients' mail: they have turns of their own.
"""

from collections.abc import Iterable

PRIORITIES = {"high": 1, "normal": 0, "low": -1}
"""As sender rules name them."""
_HIGH, _LOW = PRIORITIES["high"], PRIORITIES["low"]
_BY_FIELD = {
    # RFC 4021 §2.1.54: Priority; RFC 2156 §5.3.6: Importance; the others are what mail programs write.
    "x-priority": {"1": _HIGH, "2": _HIGH, "4": _LOW, "5": _LOW},
    "priority": {"urgent": _HIGH, "non-urgent": _LOW},
    "importance": {"high": _HIGH, "low": _LOW},
    "x-msmail-priority": {"high": _HIGH, "low": _LOW},
    "precedence": {"bulk": _LOW, "list": _LOW, "junk": _LOW},
}
_LONGEST_NAME = max(map(len, _BY_FIELD))


def priority_of(headers: Iterable[tuple[str, str]]) -> int:
    """What the fields ask for. A mail that calls itself bulk is never urgent, whatever else it says."""
    found = 0
    for name, value in headers:
        words = _BY_FIELD.get(name.lower()) if len(name) <= _LONGEST_NAME else None
        if words is not None:
            # "1 (Highest)" is common.
            asked = words.get(value.strip().partition(" ")[0].lower(), 0)
            if asked == _LOW:
                return _LOW
            found = asked or found
    return found
