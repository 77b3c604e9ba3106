"""Submissions on their way from one spool to another: whole rows, under the names that both backends give their columns.

In: columns. Out: `Parcel`s, and what a source and a target must be able to do. Never: SQL; a meaning of what is carried.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from qboxrelay.model.submission import State
from qboxrelay.spool.acting import MARK
from qboxrelay.spool.rows import Row
from qboxrelay.spool.times import to_ms

FIXED = (
    "id", "account", "client_key", "priority", "payload_bytes", "received_at", "stored_at", "envelope_sender", "recipients", "notify_never",
    "is_notice", "from_address", "subject", "message_id_header", "client_address", "client_helo", "client_user", "listener", "dsn",
    "sender_rule", "domain_state", "traceparent",
)  # fmt: skip
"""What is known when a submission is stored."""
CHANGING = (
    "state", "ready", "next_attempt_at", "attempts", "failures", "maybe_sent", "retried_at", "finished_at", "outcome", "reason", "text",
    "message_id", "submitted_at", "suppression", "notice", "tell",
)  # fmt: skip
"""How it fares. Beside these there is `request`, the latest one."""
YES_OR_NO = frozenset({"notify_never", "is_notice", "ready", "maybe_sent"})
REQUEST = (
    "account", "started_at", "leased_until", "ended_at", "messages", "bytes", "under_way", "status", "request_id", "error", "text",
    "connect_seconds", "answer_seconds",
)  # fmt: skip
ATTEMPT = ("number", "outcome", "reason", "text")
ACT = ("at", "act", "by", "id", "account", "before")

PART_MESSAGES, PART_BYTES = 200, 16_000_000
"""Of one commit; a single larger one goes alone."""

MOVING = "spool copy"
WHY_MOVING = "its mail is being moved to another spool"
"""Who pauses a source, and why: a relay that starts on it after a move was cut off must send nothing that may be in the target already."""
OWN_FACTS = frozenset({MARK})
"""Facts that mean something in their own spool only."""

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One submission and what belongs to it. `key` and `request` are the source's numbers."""

    key: int
    row: Columns
    request: int | None
    payload: bytes | None
    raw: bytes | None
    attempts: tuple[Columns, ...]
    """Each with the source's number of its `request`."""
    acts: tuple[Columns, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one commit moves, in order of arrival. `requests` are those that attempts name, by the source's numbers."""

    parcels: tuple[Parcel, ...] = ()
    requests: Mapping[int, Columns] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a spool keeps beside the mail."""

    pauses: tuple[Columns, ...] = ()
    facts: tuple[Columns, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """How much there is to move: submissions by state (`sending` is what nobody recorded), their bytes, and finished ones without content."""

    mail: Mapping[State, int]
    bytes: int
    trail: int

    @property
    def messages(self) -> int:
        return sum(self.mail.values())


class Source(Protocol):
    """A spool that no relay works on. Every method raises `SpoolError`."""

    async def same_as(self, target: "Target") -> bool:
        """Whether both are one spool, whose mail would be dropped as soon as it is found there."""
        ...

    async def settle(self, into: State) -> int:
        """Pause it, and end what a relay that is gone left under way: it may have been sent. How many."""
        ...

    async def survey(self) -> Survey: ...

    async def kept(self) -> Kept: ...

    def part(self, after: int, *, trail: bool) -> AbstractAsyncContextManager[Part]:
        """The next ones behind a key, of the mail or of the trail, and a transaction that nobody else's change comes into; empty at the end."""
        ...

    async def drop(self, part: Part) -> None:
        """Within the part's transaction: it is gone at its end."""
        ...

    async def finish(self) -> None:
        """All mail is moved, and so are the pauses: there are none any more."""
        ...

    async def close(self) -> None: ...


class Target(Protocol):
    """A spool that takes. Every method raises `SpoolError`, and then nothing of it has happened."""

    async def put_kept(self, kept: Kept) -> None:
        """What it does not know yet."""
        ...

    async def put(self, part: Part) -> int:
        """One durable commit. Those whose id it knows, or knew until an operator deleted them, are not put again. How many were new."""
        ...

    async def close(self) -> None: ...


class Parcels(Source, Target, Protocol):
    """Every backend's does both."""


def pause(now: datetime) -> dict[str, Any]:
    """Of everything, while it is moved."""
    return {"account": "", "at": to_ms(now), "by": MOVING, "why": WHY_MOVING}


def chosen(sizes: Iterable[tuple[int, int]]) -> list[int]:
    """The first keys, as many as make a part."""
    keys: list[int] = []
    total = 0
    for key, size in sizes:
        total += size
        if keys and total > PART_BYTES:
            break
        keys.append(key)
    return keys


def ended(request: Columns) -> dict[str, Any]:
    """A request of another spool leases nothing here."""
    when = request["ended_at"]
    return {**request, "under_way": 0, "ended_at": request["started_at"] if when is None else when}


def changes(parcels: Iterable[Parcel], sign: int) -> dict[tuple[str, str], tuple[int, int]]:
    """What putting (1) or dropping (-1) them does to the figures: messages and bytes by account and state."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for parcel in parcels:
        key = (parcel.row["account"], parcel.row["state"])
        messages, size = found.get(key, (0, 0))
        found[key] = (messages + sign, size + sign * parcel.row["payload_bytes"])
    return found


def part_of(rows: Sequence[Row], attempts: Sequence[Row], acts: Sequence[Row], requests: Sequence[Row]) -> Part:
    """From rows of either backend; `rows` are in order of arrival, and hold the content."""
    attempts_of: dict[int, list[Columns]] = {}
    for one in attempts:
        attempts_of.setdefault(one["submission"], []).append(_columns(one, (*ATTEMPT, "request")))
    acts_of: dict[str, list[Columns]] = {}
    for one in sorted(acts, key=lambda row: int(row["at"])):
        acts_of.setdefault(one["id"], []).append(_columns(one, ACT))
    return Part(
        parcels=tuple(
            Parcel(
                key=row["key"],
                row=_submission(row),
                request=row["request"],
                payload=row["payload"],
                raw=row["raw"],
                attempts=tuple(attempts_of.get(row["key"], ())),
                acts=tuple(acts_of.get(row["id"], ())),
            )
            for row in rows
        ),
        requests={one["key"]: _columns(one, REQUEST) for one in requests},
    )


def kept_of(pauses: Iterable[Row], facts: Iterable[Row]) -> Kept:
    return Kept(
        pauses=tuple(_columns(one, ("account", "at", "by", "why")) for one in pauses if one["by"] != MOVING),
        facts=tuple(_columns(one, ("name", "value", "version")) for one in facts if one["name"] not in OWN_FACTS),
    )


def _columns(row: Row, names: Iterable[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _submission(row: Row) -> dict[str, Any]:
    columns = _columns(row, (*FIXED, *CHANGING))
    # Where it is not known when the spool took it: no earlier than this.
    columns["stored_at"] = columns["received_at"] if columns["stored_at"] is None else columns["stored_at"]
    return {name: bool(value) if name in YES_OR_NO else value for name, value in columns.items()}
