r"""What every spool does: the protocol, its states, its errors.

In: submissions and outcomes. Out: batches. Never: anything a backend could do that the others cannot.

    put ──▶ queued ──claim──▶ sending ──record(Sent)──▶ sent
              ▲  ▲               │ │ └──record(Failed)──▶ failed ──retry──▶ queued
              │  └──record(Retry)┘ └────record(Held)────▶ held ───release──▶ queued
              └── lease ran out (crash): the attempt ends unknown

Every method returns only after what it says is on the disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from qboxrelay.model.submission import Batch, NoticeKind, State, Submission
from qboxrelay.model.value import value


class SpoolError(Exception):
    """The spool could not do what was asked; nothing of it has happened. The fault is temporary for the mail."""


class SpoolFull(SpoolError):  # noqa: N818 - a state, not an error of ours
    """A limit on messages, bytes or free disk space is reached. `limit` names it."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"the spool is full: {limit}")
        self.limit = limit


class SpoolDiskFull(SpoolFull):
    """The disk of the server has no room: not a limit of ours, but what another store of this relay may still have."""


class SpoolLocked(SpoolError):  # noqa: N818 - a state, not an error of ours
    """Another process holds the spool."""


class SpoolRefused(SpoolError):  # noqa: N818 - a state, not an error of ours
    """The store cannot hold this mail, for what it is; others it can."""


class SpoolUnreachable(SpoolError):  # noqa: N818 - a state, not an error of ours
    """The store is away, or does not answer, or only reads at this moment: what was under way may or may not have happened."""


class SpoolCommitFailed(SpoolError):  # noqa: N818 - a state, not an error of ours
    """The disk failed under a commit, or another program keeps the store locked: trying the same again at once would not help, or seem to."""


class SpoolShortOfMemory(SpoolError):  # noqa: N818 - a state, not an error of ours
    """There was too little memory for it; less of it at once may do."""


class SpoolDamaged(SpoolError):  # noqa: N818 - a state, not an error of ours
    """The store itself is broken: nothing it says or takes can be trusted until a new start has rescued what can be read."""


@value(frozen=True, slots=True, kw_only=True)
class RequestResult:
    """What is known of one POST, for the trail."""

    status: int | None = None
    request_id: str | None = None
    error: str | None = None
    """The API's slug or our word for what went wrong."""
    text: str = ""
    connect_seconds: float | None = None
    answer_seconds: float | None = None


@value(frozen=True, slots=True, kw_only=True)
class Result:
    """What becomes of one claimed submission. `outcome` is a word for the attempt's record: accepted, refused, deferred, unknown."""

    key: int
    state: State
    """SENT, FAILED, HELD, or QUEUED (again, not before `next_attempt_at`)."""
    outcome: str
    reason: str = ""
    text: str = ""
    message_id: str | None = None
    submitted_at: str | None = None
    suppression: str | None = None
    next_attempt_at: datetime | None = None
    counted: bool = True
    """Whether this attempt moves the retry schedule on."""
    notice: NoticeKind | None = None
    """Of what somebody is to be told; of a delay nobody is told twice."""
    tell: str = ""
    """With `notice`: the address of who is to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDepth:
    """Submissions of one account in one state.

    `oldest_at` is when the oldest that is queued, sending or held was received, None where there is none. Where very many submissions of other
    accounts came before it, it is the arrival of the last of those that were looked at: the oldest is no older than that.
    """

    account: str
    state: State
    messages: int
    bytes: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much of what waits: `messages` and `bytes` by state, and when the oldest queued one was received."""

    messages: dict[State, int] = field(default_factory=dict)
    bytes: dict[State, int] = field(default_factory=dict)
    oldest_queued_at: datetime | None = None
    accounts: tuple[AccountDepth, ...] = ()
    """The same by account and state, where there are or were any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the spool knows of one submission, without its content. `key` is in order of arrival."""

    key: int
    id: str
    state: State
    account: str
    received_at: datetime
    envelope_sender: str
    recipients: tuple[str, ...]
    from_address: str
    client: str
    client_address: str
    attempts: int
    next_attempt_at: datetime | None
    outcome: str | None
    """Of the latest attempt; None before the first one ended."""
    reason: str | None
    text: str | None
    request_id: str | None
    message_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A submission of which somebody is to be told, and what a notice says of it."""

    key: int
    id: str
    transaction_id: str
    notice: NoticeKind
    received_at: datetime
    recipients: tuple[str, ...]
    dsn: str
    """See `Submission.dsn`."""
    subject: str
    message_id_header: str
    tried_at: datetime | None
    """When the latest attempt began."""
    maybe_sent: bool
    """An attempt ended unknown: the API may have it all the same."""
    reason: str
    """Of the latest attempt."""
    text: str
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Bytes that another part wanted kept. `version` grows whenever they are stored anew."""

    value: bytes
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """One act of an operator, as it was written down. `what` is retry, release, hold, delete, pause or resume; `id` is empty, and `account` may
    be (all of them), where it is about an account; `before` is the state that the submission was in.
    """

    at: datetime
    what: str
    by: str
    id: str
    account: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An account that sends nothing until it is resumed; `account` is empty for all of them."""

    account: str
    at: datetime
    by: str
    why: str


@runtime_checkable
class Remote(Protocol):
    """What depends on a server, which may keep silent while it is closed."""

    def cut_off(self) -> None:
        """Wait for the server no longer: what is under way ends as if the connection broke."""
        ...


class Spool(Protocol):
    """The durable store. Implementations are closed by `close()`, after which every call raises `SpoolError`."""

    async def put(self, submissions: Sequence[Submission]) -> None:
        """Store one transaction's submissions, all or none. Raises `SpoolFull`, `SpoolError`."""
        ...

    async def claim(self, account: str, *, max_messages: int, max_bytes: int, lease: timedelta) -> Batch | None:
        """Lease submissions that are due, fairly over clients, and write the attempt; None when nothing is due, or an operator paused the
        account. Cancelled, it leases nothing.

        `max_bytes` bounds the sum of the payloads plus one byte each for the comma; a single larger payload is claimed alone.
        """
        ...

    async def claim_overdue(
        self, account: str, *, received_before: datetime, max_messages: int, max_bytes: int, lease: timedelta
    ) -> Batch | None:
        """Lease submissions that were received before a time, due or not, to be given up; None when a look at those that wait longest
        finds none. The bounds are those of `claim`. Cancelled, it leases nothing.
        """
        ...

    async def record(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        """Store what the request and its submissions came to. A submission whose lease is no longer `batch.lease` is left alone."""
        ...

    async def split(
        self, batch: Batch, request: RequestResult, parts: Sequence[Sequence[int]], lease: timedelta
    ) -> list[Batch]:
        """Record a request that settled nothing, and lease its submissions (by key) anew as one batch a part: the attempts
        of all parts are written by the same commit. A submission that stands in no part must be recorded before; a part
        that is not owned any more has no batch.
        """
        ...

    async def next_due_at(self, account: str) -> datetime | None:
        """When the account's next waiting submission becomes due, or its next lease runs out; None when neither will be."""
        ...

    async def wait_for_work(self, account: str) -> None:
        """Return when something may have become claimable for the account since the last call of `claim`. May wake for nothing."""
        ...

    async def depth(self) -> Depth: ...

    async def find(self, id_: str) -> list[Record]:
        """The submissions of a transaction id, or the one of a submission id."""
        ...

    async def latest(self, *, state: State | None = None, limit: int = 100) -> list[Record]:
        """The newest submissions first, of one state or of all."""
        ...

    async def addressees(self) -> list[str]:
        """Who is to be told of something."""
        ...

    async def untold(self, address: str, *, limit: int) -> list[Untold]:
        """What somebody is to be told of, oldest first."""
        ...

    async def notices_since(self, address: str, since: datetime, *, limit: int) -> list[datetime]:
        """When notices to somebody were stored, the oldest first, however they fared."""
        ...

    async def tell(self, address: str, told: Sequence[Untold], notice: Submission | None) -> bool:
        """Store a notice, or None where nothing needs to be said, and that it tells of these: one commit. False, and nothing is done, when
        they changed meanwhile: one of them was told of, or has left. Raises `SpoolFull`, `SpoolError`.
        """
        ...

    async def prune(self) -> int:
        """Forget, in one small step, what the settings no longer keep; returns how much went, 0 when nothing is left."""
        ...

    async def remember(self, name: str, value: bytes) -> None:
        """Keep bytes under a name, in place of what was there. Raises `SpoolError`."""
        ...

    async def recall(self, name: str, *, after: int = 0) -> Fact | None:
        """What is kept under a name, also by another process; None when there is nothing newer than the version `after`."""
        ...

    async def follow(self) -> list[Handled]:
        """Take up what operators did beside this process (see `spool.queue`) since the last call, oldest first: figures are right again, and
        who waits for work is woken. To be called every second or so.
        """
        ...

    async def changed(self) -> None:
        """Return when somebody beside this process may have written, a second or so later; sooner or later it returns anyway."""
        ...

    async def pauses(self) -> list[Pause]:
        """What operators want nothing to be sent of, now."""
        ...

    async def check_writable(self) -> None:
        """Commit a row of no meaning, durably: raises `SpoolFull` or `SpoolError` where `put` would."""
        ...

    async def damaged(self) -> str:
        """Return what is wrong once the store turns out to be broken; wait as long as it is whole."""
        ...

    async def close(self) -> None:
        """Finish what was begun, checkpoint, unlock."""
        ...
