"""From bytes to a `Message`: the story of reading one mail, top to bottom.

In: the bytes of DATA, or of a file (bare LF and an mbox `From ` line are taken). Out: `Message`, or `Refusal` where a limit is
passed. Never: any other exception, I/O, or a decision that needs the envelope or the settings.
"""

from collections.abc import Iterable
from typing import NamedTuple

from qboxrelay.mime.address import decode_addresses, read_addresses
from qboxrelay.mime.attachment import read_attachments
from qboxrelay.mime.body import Gathered, gather
from qboxrelay.mime.entity import read_entity
from qboxrelay.mime.header import Header
from qboxrelay.mime.limits import DEFAULT, Limits
from qboxrelay.mime.lines import with_line_ends
from qboxrelay.mime.opaque import NOTICES, opacity, original
from qboxrelay.mime.words import decode_words
from qboxrelay.model.address import Mailbox
from qboxrelay.model.message import Attachment, Loss, Message

_BROKEN_SEALS = ("dkim-signature", "arc-seal")
_ADDRESS_FIELDS = frozenset({
    "resent-from", "resent-sender", "resent-to", "resent-cc", "disposition-notification-to", "return-receipt-to", "errors-to",
    "x-confirm-reading-to", "mail-followup-to", "mail-reply-to", "original-from", "x-original-from",
})  # fmt: skip
_MAX_LOSSES = 1_000
"""Of a mail that is nothing but mistakes not each is told: somebody has to count and log them."""
_BAD_ADDRESS = Loss("text in an address field that is no address", "bad_address")


def parse(raw: bytes, limits: Limits = DEFAULT) -> Message:
    """Read a mail."""
    raw = with_line_ends(raw)
    root = read_entity(raw, limits)
    header = root.header
    passed = _passed(header)
    losses = [Loss(f"the {name} field", "seal_broken") for name in _BROKEN_SEALS if name in header.own]
    opaque = opacity(root)
    if opaque:
        content = _Content(NOTICES[opaque], None, (original(raw, root),))
        losses.append(Loss(f"the mail is {opaque}: its original is attached", "unrepresentable"))
    else:
        content = _content(gather(root), losses)
    sender = _first(_mailboxes(header, "sender"))
    return Message(
        from_=_author(_mailboxes(header, "from", losses), sender, losses),
        sender=sender,
        to=_mailboxes(header, "to", losses),
        cc=_mailboxes(header, "cc", losses),
        bcc=_mailboxes(header, "bcc"),
        reply_to=_mailboxes(header, "reply-to", losses),
        subject=_subject(header),
        text_body=content.text,
        html_body=content.html,
        attachments=content.attachments,
        headers=passed,
        message_id=_message_id(passed),
        date=root.first("date"),
        losses=tuple(losses[:_MAX_LOSSES]),
        received_count=len(header.own.get("received", ())),
        relay_ids=_relay_ids(header),
        opaque=opaque,
        partial=root.type.value == "message/partial",
    )


def _passed(header: Header) -> tuple[tuple[str, str], ...]:
    """The fields that go on as headers, in order, decoded to text."""
    return tuple([(name, _decoded(name, value) if "=?" in value else value) for name, value in header.others])


def _decoded(name: str, value: str) -> str:
    return decode_addresses(value) if name.lower() in _ADDRESS_FIELDS else decode_words(value)


def _message_id(passed: Iterable[tuple[str, str]]) -> str:
    for name, value in passed:
        if name.lower() == "message-id":
            return value
    return ""


def _relay_ids(header: Header) -> tuple[str, ...]:
    """The ids of earlier passes through a relay, one or several a field."""
    fields = (*header.own.get("x-qboxrelay-id", ()), *header.own.get("x-qboxrelay-earlier-ids", ()))
    return tuple(" ".join(fields).replace(",", " ").split()) if fields else ()


def _subject(header: Header) -> str:
    """The first Subject that says something."""
    for value in header.own.get("subject", ()):
        # A tab stands where a long line was folded.
        if subject := decode_words(value).replace("\t", " ").strip():
            return subject
    return ""


def _mailboxes(header: Header, key: str, losses: list[Loss] | None = None) -> tuple[Mailbox, ...]:
    """The mailboxes of all fields of one name: repeated ones are against RFC 5322 §3.6, but each was written to be read."""
    mailboxes: list[Mailbox] = []
    for value in header.own.get(key, ()):
        found = read_addresses(value)
        mailboxes += found.mailboxes
        if losses is not None and (found.groups or found.unusable):
            losses += [Loss(f"group name {name}", "group") for name in found.groups]
            losses += [_BAD_ADDRESS] * len(found.unusable)
    return tuple(mailboxes)


def _author(authors: tuple[Mailbox, ...], sender: Mailbox | None, losses: list[Loss]) -> Mailbox | None:
    """The API takes one author: the one that Sender names if it is among several (RFC 5322 §3.6.2), else the first."""
    if len(authors) > 1:
        losses += [Loss("a further author in From", "several_authors")] * (len(authors) - 1)
        key = sender.address.folded_key if sender else None
        return next((author for author in authors if author.address.folded_key == key), authors[0])
    return _first(authors)


def _first(mailboxes: tuple[Mailbox, ...]) -> Mailbox | None:
    return mailboxes[0] if mailboxes else None


class _Content(NamedTuple):
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]


def _content(gathered: Gathered, losses: list[Loss]) -> _Content:
    html = gathered.html()
    attachments, attached = read_attachments(gathered.attachments, html) if gathered.attachments else ((), [])
    losses += gathered.losses
    losses += attached
    text = gathered.text()
    if not text and not html:
        names = ", ".join([attachment.filename for attachment in attachments])
        # The API requires a body, and an empty one may count as none.
        text = f"Attached: {names}\n" if names and text is None else "\n"
    return _Content(text or None, html or None, attachments)
