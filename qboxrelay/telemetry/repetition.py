"""No flood: a warning or an error that repeats is counted, not written again and again.

In: events, a monotonic clock. Out: which of them are written, with `repeated` for those that were not. Never: a closing line of a mail held
back, or more kinds remembered than a bound.
"""

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_KINDS = 500
"""Kinds that are told apart at a time; the oldest leaves, and says how often it came."""
_LEVELS = frozenset({"warning", "error"})
_NEVER = (
    "submission.",
    "mail.",
    "attempt.maybe",
    "account.",
    "operator.",
    "relay.",
    "settings.",
    "worker.",
    "login.refused",
)
"""Each of these says of one mail, one act or one change what no other line says. Logins that fail are counted by programs that read the log
(fail2ban), and bounded by [logins].
"""
_OURS = frozenset({"spool_full", "spool_error"})
"""Mail that is refused for the relay's own trouble: its 452 or 451 names no transaction that anybody would look for."""
_TELLING = (
    "account", "listener", "client", "peer", "proxy", "user", "reason", "rule", "state", "status", "limit", "logger", "domain", "name",
    "type",
)  # fmt: skip
"""What makes two events of one name different; ids, counts and times do not."""
_WORDED = ("error", "text")
"""Sentences, which may have counts and times in them."""
_MAX_TEXT = 200
_LAST = "relay.stopped"
"""The last line of a run brings along what was counted."""
_DIGITS = re.compile(r"\d+")

Fields = dict[str, Any]


@dataclass(slots=True)
class _Kind:
    written_at: float
    summary: Fields
    count: int = 0


class Repetition:
    """Lets the first of a kind through; what follows within `every` seconds is counted."""

    def __init__(self, *, every: float, monotonic: Callable[[], float]) -> None:
        """With `every` 0 all is written."""
        self._every = every
        self._monotonic = monotonic
        self._kinds: OrderedDict[tuple[str, ...], _Kind] = OrderedDict()
        self._over_at = math.inf
        """When the oldest kind is over: until then lines that are not counted pass without a look."""
        # To put an event in words may log another one: what an object says of itself, or one that is collected at this moment.
        self._lock = threading.RLock()

    def passes(self, level: str, event: str) -> bool:
        """Whether the event is written whatever else it says, and nothing beside it; most are."""
        return level not in _LEVELS and self._monotonic() < self._over_at and event != _LAST

    def __call__(self, fields: Fields) -> list[Fields]:
        """What is to be written now: this event or not, and the counts of kinds that came no more."""
        counted = self._every > 0 and _repeats(fields)
        now = math.inf if fields.get("event") == _LAST else self._monotonic()
        if not counted and now < self._over_at:
            return [fields]
        with self._lock:
            written = [fields] if not counted or self._first(fields, now) else []
            return [*self._over(now), *written]

    def _first(self, fields: Fields, now: float) -> bool:
        key = _key(fields)
        kind = self._kinds.get(key)
        if kind is not None and now - kind.written_at < self._every:
            kind.count += 1
            return False
        if kind is not None and kind.count:
            fields["repeated"] = kind.count
        self._kinds[key] = _Kind(now, _summary(fields))
        self._kinds.move_to_end(key)
        return True

    def _over(self, now: float) -> list[Fields]:
        over = []
        # As they are at this moment: an event that is logged meanwhile may take some away.
        for key, kind in list(self._kinds.items()):
            if len(self._kinds) <= _KINDS and now - kind.written_at < self._every:
                break
            if self._kinds.pop(key, None) is kind and kind.count:
                over.append({**kind.summary, "repeated": kind.count})
        oldest = next(iter(self._kinds.values()), None)
        self._over_at = math.inf if oldest is None else oldest.written_at + self._every
        return over


def _repeats(fields: Fields) -> bool:
    if fields.get("level") not in _LEVELS:
        return False
    event = str(fields.get("event"))
    return not event.startswith(_NEVER) or (event == "mail.refused" and fields.get("rule") in _OURS)


def _key(fields: Fields) -> tuple[str, ...]:
    error = fields.get("exc_info")
    kind = type(error).__name__ if isinstance(error, BaseException) else ""
    told = [str(fields.get(name, "")) for name in _TELLING]
    worded = [_DIGITS.sub("#", str(fields.get(name, "")))[:_MAX_TEXT] for name in _WORDED]
    return (str(fields.get("event")), str(fields.get("level")), kind, *told, *worded)


def _summary(fields: Fields) -> Fields:
    shown = {
        name: fields[name] for name in (*_TELLING, *_WORDED) if name in fields and isinstance(fields[name], str | int)
    }
    return {"level": fields["level"], "event": "log.repeated", "of": fields.get("event"), **shown}
