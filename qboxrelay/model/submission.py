"""The unit of the spool: one entry of `messages[]` of a Send API request, and the facts kept beside it.

In: what intake composed. Out: `Submission` (to be stored), `Claimed` (taken for an attempt). Never: parsing; the payload is
finished JSON, and the dispatcher only joins payloads.
"""

from datetime import datetime
from enum import StrEnum

from qboxrelay.model.value import value


class State(StrEnum):
    """Where a submission stands; the only states there are."""

    QUEUED = "queued"
    """Waits for an attempt, perhaps not before a given time."""
    SENDING = "sending"
    """Leased to a dispatcher; an expired lease puts it back to queued."""
    SENT = "sent"
    """The API accepted it."""
    FAILED = "failed"
    """Refused for good or given up; leaves only by an operator's hand."""
    HELD = "held"
    """Waits for an operator."""


class NoticeKind(StrEnum):
    """Of what a notice tells."""

    DELAY = "delay"
    """It waits longer than people expect; it is still tried."""
    FAILURE = "failure"
    """It failed for good, or was given up."""


@value(frozen=True, slots=True)
class Submission:
    """What intake hands to the spool. Addresses are text here: nothing behind the spool takes them apart again.

    What intake knows of every mail comes first: `intake.decide` gives it by position.
    """

    id: str
    transaction_id: str
    account: str
    client_key: str
    """By what claims are fair: see `Client.key`."""
    payload: bytes
    """The finished JSON object, UTF-8, the same on every try."""
    received_at: datetime
    envelope_sender: str
    """Empty for the null sender."""
    recipients: tuple[str, ...]
    priority: int = 0
    """Higher goes first among submissions that wait; 0 is normal."""
    notify_never: bool = False
    """Every recipient of it was given with NOTIFY=NEVER (RFC 3461): no notice about it."""
    dsn: str = ""
    """What the client asked about notices (RFC 3461), as `model.dsn` writes it; empty when it asked nothing."""
    from_address: str = ""
    subject: str = ""
    message_id_header: str = ""
    client_address: str = ""
    client_helo: str = ""
    client_user: str = ""
    listener: str = ""
    sender_rule: str = ""
    """The name of the sender rule that it matched."""
    raw: bytes | None = None
    """The message as received, where the settings keep it."""
    is_notice: bool = False
    domain_state: str = ""
    """Where its sender domain stood when it was accepted; empty when nobody looked."""
    traceparent: str = ""
    """W3C Trace Context of the span that took the mail in; empty where it is not traced."""


@value(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A submission leased for one attempt. `key` is the spool's own number; `attempt` counts from 1 over all tries."""

    key: int
    id: str
    transaction_id: str
    payload: bytes
    attempt: int
    """Number of this attempt, from 1."""
    failures: int
    """Earlier attempts that count against the mail: the step in the retry schedule."""
    received_at: datetime
    envelope_sender: str
    recipients: tuple[str, ...]
    notify_never: bool
    is_notice: bool
    maybe_sent: bool
    """An earlier attempt ended unknown: this one may send a duplicate."""
    subject: str
    message_id_header: str
    stored_at: datetime | None = None
    """When the spool took it; None where that is not known."""
    traceparent: str = ""
    """See `Submission`."""


@value(frozen=True, slots=True, kw_only=True)
class Batch:
    """Submissions that travel in one POST, leased together. `lease` is the fencing token: only its owner may record."""

    request_key: int
    account: str
    lease: str
    submissions: tuple[Claimed, ...]

    @property
    def payload_bytes(self) -> int:
        return sum(len(submission.payload) for submission in self.submissions)
