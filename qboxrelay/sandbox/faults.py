"""Faults on request: which requests are hit, and by what.

In: rules as JSON, requests. Out: the rule that hits a request. Never: a fault that nobody asked for.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Action = Literal[
    "status",
    "delay",
    "hang",
    "early_status",
    "drop",
    "drop_after_body",
    "half_status",
    "headers_only",
    "half_answer",
    "drip",
    "huge",
    "huge_headers",
    "gzip_bomb",
    "partial",
    "entries",
]

ACTIONS: dict[str, str] = {
    "status": "answer `status`, `body` (text, or JSON) and `headers`; a redirect is a `status` with a Location header",
    "delay": "wait `seconds`, then go on as usual; with `accept`, the wait comes after acceptance",
    "hang": "never answer",
    "early_status": "answer `status`, `body` and `headers` before the body is read, and close the connection",
    "drop": "reset the connection before the body is read",
    "drop_after_body": "reset the connection after the body was read; with `accept`, after acceptance",
    "half_status": "send half a status line and close the connection",
    "headers_only": "send the answer's headers and close the connection",
    "half_answer": "send half the answer's body and close the connection",
    "drip": "send the whole answer, headers too, one byte every `seconds`",
    "huge": "answer with a body of `size` bytes",
    "huge_headers": "answer with a header field of `size` bytes",
    "gzip_bomb": "answer with a compressed body that unpacks to `size` bytes",
    "partial": "accept all messages but those at the positions in `refuse` (if empty: those that `subject` and `header` match), "
    "whose entries carry `error_code`",
    "entries": "accept, and change the entries by `how`",
}

EARLY: frozenset[str] = frozenset({"drop", "early_status"})
"""These strike before the body is read, so they cannot look at messages."""

_ACCEPT_BY_NATURE = frozenset({"partial", "entries"})


class Rule(BaseModel):
    """Hits the next `count` requests to a `path` that starts so (None: every one), with the chance `share`.

    With `account`, only requests with its token; with `subject` or `header`, only those with a message whose subject, or every named
    header, contains the text. Nothing is accepted unless `accept` is true. `status`, `body` and `headers` replace the answer; without
    them it is the documented 202 when the messages were accepted, and a 503 when not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    count: int | None = Field(default=None, ge=0)
    share: float = Field(default=1.0, ge=0, le=1)
    seed: int = 0
    path: str = "/v1/send"
    account: int | None = None
    subject: str | None = None
    header: dict[str, str] = {}
    accept: bool = False
    status: int | None = Field(default=None, ge=200, le=599)
    body: Any = None
    headers: dict[str, str] = {}
    seconds: float = Field(default=0.0, ge=0)
    size: int = Field(default=100_000_000, ge=0)
    refuse: tuple[int, ...] = ()
    error_code: int = 400
    how: Literal["reversed", "fewer", "more", "none", "no_ids", "one_per_recipient"] = "reversed"

    @property
    def accepts(self) -> bool:
        return self.accept or self.action in _ACCEPT_BY_NATURE

    def looks_at_messages(self) -> bool:
        return self.subject is not None or bool(self.header)

    def picks(self, message: object) -> bool:
        """Whether a message is one that the rule is about."""
        if not isinstance(message, dict):
            return False
        if self.subject is not None and self.subject not in str(message.get("subject", "")):
            return False
        headers = message.get("headers")
        return not self.header or (isinstance(headers, dict) and _has_headers(headers, self.header))


class Faults:
    """The rules in force, in the order they were given; the first that hits decides."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def add(self, rules: Sequence[Rule]) -> None:
        self._armed += [_Armed(rule) for rule in rules]

    def clear(self) -> None:
        self._armed.clear()

    def shown(self) -> list[dict[str, Any]]:
        return [{**armed.rule.model_dump(mode="json"), "hits": armed.hits} for armed in self._armed]

    def early(self, path: str, account: int | None) -> Rule | None:
        """The rule that strikes before the body is read."""
        return self._first(path, account, (), early=True)

    def late(self, path: str, account: int | None, messages: Sequence[object] = ()) -> Rule | None:
        """The rule that strikes once the body was read."""
        return self._first(path, account, messages, early=False)

    def _first(self, path: str, account: int | None, messages: Sequence[object], *, early: bool) -> Rule | None:
        candidates = (armed for armed in self._armed if (armed.rule.action in EARLY) is early)
        return next((armed.rule for armed in candidates if armed.hit(path, account, messages)), None)


class _Armed:
    """A rule, how often it hit, and its own source of chance."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.hits = 0
        self._chance = random.Random(rule.seed)

    def hit(self, path: str, account: int | None, messages: Sequence[object]) -> bool:
        rule = self.rule
        if (rule.count is not None and self.hits >= rule.count) or not path.startswith(rule.path):
            return False
        if rule.account is not None and rule.account != account:
            return False
        if rule.looks_at_messages() and not any(rule.picks(message) for message in messages):
            return False
        if self._chance.random() >= rule.share:
            return False
        self.hits += 1
        return True


def read_rules(text: bytes) -> list[Rule]:
    """Rules from JSON: an object or a list of objects. Raises ValueError with what is wrong."""
    found = _RULES.validate_json(text)
    return found if isinstance(found, list) else [found]


def _has_headers(headers: Mapping[str, object], wanted: Mapping[str, str]) -> bool:
    known = {str(name).lower(): str(value) for name, value in headers.items()}
    return all(name.lower() in known and text in known[name.lower()] for name, text in wanted.items())


_RULES: TypeAdapter[list[Rule] | Rule] = TypeAdapter(list[Rule] | Rule)
