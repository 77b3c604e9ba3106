"""What parsing a mail yields, before policy.

In: what `mime` read. Out: `Message`, `Attachment`, `Loss`. Never: MIME syntax; text here is decoded, free of control characters
that could break a header, of NUL and of lone surrogates.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

from qboxrelay.model.address import Mailbox
from qboxrelay.model.value import value


@value(frozen=True, slots=True)
class Loss:
    """Something of a mail that the Send API cannot say: `what` is for people, `rule` is one of a closed set of words."""

    what: str
    rule: str


class Content(Protocol):
    """The octets of an attachment, which may be large: they are handed out in pieces and never kept twice."""

    def base64(self) -> Iterator[bytes]:
        """Base64 without line ends, in pieces; joined they are one valid encoding."""
        ...

    def data(self) -> bytes:
        """The octets themselves."""
        ...


@value(frozen=True, slots=True)
class Attachment:
    """One attachment of the Send API. `content_id` is set, without brackets, exactly where the API shall show it inline."""

    filename: str
    content_type: str
    content: Content
    content_id: str | None = None

    @property
    def disposition(self) -> Literal["attachment", "inline"]:
        return "attachment" if self.content_id is None else "inline"


@value(frozen=True, slots=True)
class Message:
    """A mail as its reader would see it. `headers` are the fields that no other member holds, in order, names as written."""

    from_: Mailbox | None = None
    """Whom From names; None when it names nobody, so that the envelope sender must stand in."""
    sender: Mailbox | None = None
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    """What a Bcc field named. Never passed on; `explain` takes it for an envelope when none is given."""
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    text_body: str | None = None
    html_body: str | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    message_id: str = ""
    date: str = ""
    losses: tuple[Loss, ...] = ()
    received_count: int = 0
    """Received fields: how many hosts handled it before (RFC 5321 §6.3)."""
    relay_ids: tuple[str, ...] = ()
    """What stood in X-Qboxrelay-Id and X-Qboxrelay-Earlier-Ids when it came, latest first: it went through a relay before."""
    opaque: Literal["encrypted", "signed"] | None = None
    """S/MIME or PGP that JSON fields cannot express; body and attachment then stand for the whole original."""
    partial: bool = False
    """A fragment by RFC 2046 §5.2.2: unreadable alone."""
