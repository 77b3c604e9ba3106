r"""The queue in an operator's hands: what they may look at and do, beside a relay that may be running.

In: selections, ids, acts. Out: records, stories, what was done and what was refused with its reason. Never: a touch of what is being
sent, content unless it is asked for by name, a spool that is made or migrated by looking.

    retry    failed ──▶ queued, due at once; queued (waits for its time) ──▶ due at once
    release  held ──▶ queued, due at once
    hold     queued ──▶ held
    delete   queued, held, failed, sent ──▶ gone, and nobody is told

There is no control socket: an act is a transaction of the database, whether a relay runs or not. It reads the state and changes it under the
one lock that claims take, too, so that neither can act on what the other has just changed: what is leased is refused by name, what is held or
gone is never leased, and no update is lost. A second way through the relay would have to end in the same transaction, and could hang where the
relay does. What a transaction cannot do is tell the relay's memory: it follows the acts by their numbers, every second (`Spool.follow`), for its
figures, its waiting lanes and its log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Handled, Pause, Record

AT_ONCE = 200
"""Submissions of one act, which is one commit: mail that comes in meanwhile waits for it."""


class Act(StrEnum):
    """What an operator does with a submission."""

    RETRY = "retry"
    RELEASE = "release"
    HOLD = "hold"
    DELETE = "delete"


POSSIBLE: Mapping[Act, frozenset[State]] = {
    Act.RETRY: frozenset({State.FAILED, State.QUEUED}),
    Act.RELEASE: frozenset({State.HELD}),
    Act.HOLD: frozenset({State.QUEUED}),
    Act.DELETE: frozenset({State.QUEUED, State.HELD, State.FAILED, State.SENT}),
}
"""From which states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which submissions; every field that is set narrows. Texts compare without regard to case."""

    states: frozenset[State] = frozenset(State)
    account: str = ""
    domain: str = ""
    """Of the sender or of any recipient."""
    address: str = ""
    """The sender or any recipient."""
    client: str = ""
    """Its address or its login."""
    error: str = ""
    """A part of the latest attempt's reason or text."""
    received_before: datetime | None = None
    received_after: datetime | None = None

    def matches(self, record: Record) -> bool:
        return (
            record.state in self.states
            and (not self.account or record.account == self.account)
            and (self.received_before is None or record.received_at < self.received_before)
            and (self.received_after is None or record.received_at > self.received_after)
            and self._names(record)
            and self._fared(record)
        )

    def _names(self, record: Record) -> bool:
        if self.client and self.client.lower() not in {record.client.lower(), record.client_address.lower()}:
            return False
        addresses = [one.lower() for one in (record.from_address, record.envelope_sender, *record.recipients)]
        domains = {one.rpartition("@")[2] for one in addresses}
        return (not self.domain or self.domain.lower() in domains) and (
            not self.address or self.address.lower() in addresses
        )

    def _fared(self, record: Record) -> bool:
        return not self.error or self.error.lower() in f"{record.reason or ''} {record.text or ''}".lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Records, the newest first. `next` is where to go on; None when all of the spool was looked at."""

    records: tuple[Record, ...]
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one id. `refused` says why nothing was done; empty when it was done."""

    id: str
    before: State | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try and the request it travelled in. `ended_at` and `outcome` are None while it is under way; of a request of long ago nothing is
    known any more.
    """

    number: int
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    reason: str
    text: str
    messages: int
    """Of the request."""
    status: int | None
    request_id: str | None
    error: str | None
    connect_seconds: float | None
    answer_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that the spool knows of one submission, without its content."""

    record: Record
    transaction_id: str
    client_helo: str
    client_user: str
    listener: str
    priority: int
    subject: str
    message_id_header: str
    payload_bytes: int
    has_content: bool
    has_raw: bool
    maybe_sent: bool
    finished_at: datetime | None
    submitted_at: str | None
    suppression: str | None
    is_notice: bool
    notice: str | None
    """The latest kind of notice about it, delay or failure; None when there was no reason for one, or nobody to tell."""
    tell: str | None
    """Who is still to be told of it; None when that was done, or is not needed any more."""
    sender_rule: str
    """The one that it matched; empty when none."""
    domain_state: str
    """Where its sender domain stood when it was accepted; empty when nobody looked."""
    stored_at: datetime | None
    """When it was safe in the spool; None where that is not known."""
    attempts: tuple[Attempt, ...]
    handled: tuple[Handled, ...]
    """Acts on it, and pauses that began or ended while it waited; oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The finished `messages[]` entry, and the message as received where the settings keep it."""

    payload: bytes
    raw: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """How much of one account is in one state."""

    account: str
    state: State
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The figures of the whole spool."""

    totals: tuple[Total, ...] = field(default=())
    oldest: Mapping[State, datetime] = field(default_factory=dict)
    """When the oldest in each state was received."""
    pauses: tuple[Pause, ...] = ()


class Queue(Protocol):
    """Every method raises `SpoolError`: where there is no spool yet, or it is of another version, or cannot be used."""

    async def find(self, id_: str) -> list[Record]:
        """The submissions of a transaction id, or the one of a submission id."""
        ...

    async def trace(self, text: str, *, limit: int) -> list[Record]:
        """Those whose transaction, submission, `request_id` (of any attempt), `message_id`, Message-ID or recipient this is; newest first."""
        ...

    async def select(self, selection: Selection, *, before: int | None = None, limit: int, look: int = 10_000) -> Page:
        """The newest that match, from where a page ended; of at most `look` submissions a state."""
        ...

    async def story(self, id_: str) -> Story | None:
        """Of one submission id."""
        ...

    async def handled(self, id_: str) -> list[Handled]:
        """What operators did with a transaction or a submission, also when it is gone since; oldest first."""
        ...

    async def content(self, id_: str) -> Content | None:
        """None when it is gone, as that of sent mail is."""
        ...

    async def overview(self) -> Overview: ...

    async def act(self, act: Act, ids: Sequence[str], *, by: str) -> list[Done]:
        """Do it with each of at most `AT_ONCE` submission ids, in one commit, and write down who did. A running relay takes it up within a
        second or two.
        """
        ...

    async def pause(self, account: str, *, by: str, why: str) -> bool:
        """Send nothing of an account, or of all (empty), until it is resumed; what is under way is finished. False when it was paused before."""
        ...

    async def resume(self, account: str, *, by: str) -> bool:
        """False when it was not paused."""
        ...

    async def close(self) -> None:
        """End what was opened for it."""
        ...
