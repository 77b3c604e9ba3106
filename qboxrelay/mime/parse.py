"""From bytes to a `Message`: the story of reading one mail, top to bottom.

In: the bytes of DATA, or of a file (bare LF and an mbox `From ` line are taken). Out: `Message`, or `Refusal` where a limit is
passed. Never: any other exception, I/O, or a decision that needs the envelope or the settings.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Literal

from qboxrelay.mime.address import decode_addresses, read_addresses
from qboxrelay.mime.attachment import read_attachments
from qboxrelay.mime.body import REPLACED, gather
from qboxrelay.mime.entity import Entity, read_entity
from qboxrelay.mime.header import Fields
from qboxrelay.mime.limits import DEFAULT, Limits
from qboxrelay.mime.lines import with_line_ends
from qboxrelay.mime.opaque import NOTICES, opacity, original
from qboxrelay.mime.text import read_text
from qboxrelay.mime.words import decode_words
from qboxrelay.model.address import Mailbox
from qboxrelay.model.message import Attachment, Loss, Message

_BROKEN_SEALS = ("dkim-signature", "arc-seal")
_ADDRESS_FIELDS = frozenset({
    "resent-from", "resent-sender", "resent-to", "resent-cc", "disposition-notification-to", "return-receipt-to", "errors-to",
    "x-confirm-reading-to", "mail-followup-to", "mail-reply-to", "original-from", "x-original-from",
})  # fmt: skip
_RELAY_IDS = ("x-qboxrelay-id", "x-qboxrelay-earlier-ids")
_UNUSUAL = frozenset((*_BROKEN_SEALS, *_RELAY_IDS))
_MAX_LOSSES = 1_000
"""Of a mail that is nothing but mistakes not each is told: somebody has to count and log them."""
_Content = tuple[str | None, str | None, tuple[Attachment, ...]]
"""Text, HTML, attachments."""
_BAD_ADDRESS = Loss("text in an address field that is no address", "bad_address")


def parse(raw: bytes, limits: Limits = DEFAULT) -> Message:
    """Read a mail."""
    raw = with_line_ends(raw)
    root = read_entity(raw, limits)
    is_plain = not root.children and root.type.value == "text/plain"
    own = root.header.own
    headers, message_id = _passed(root.header.others)
    is_usual = _UNUSUAL.isdisjoint(own)
    losses = [] if is_usual else _broken_seals(own)
    opaque = None if is_plain else opacity(root)
    if opaque:
        text_body, html_body, attachments = _stand_in(opaque, root, losses)
    else:
        text_body, html_body, attachments = (is_plain and _plain_content(root, losses)) or _content(root, losses)
    senders = _mailboxes(own, "sender") if "sender" in own else ()
    sender = senders[0] if senders else None
    # By position: names would go into a dictionary first, which takes 0.8 µs of 1.2.
    return Message(
        _author(_mailboxes(own, "from", losses), sender, losses),
        sender,
        _mailboxes(own, "to", losses),
        _mailboxes(own, "cc", losses) if "cc" in own else (),
        _mailboxes(own, "bcc") if "bcc" in own else (),
        _mailboxes(own, "reply-to", losses) if "reply-to" in own else (),
        _subject(own["subject"]) if "subject" in own else "",
        text_body,
        html_body,
        attachments,
        headers,
        message_id,
        own["date"][0] if "date" in own else "",
        tuple(losses[:_MAX_LOSSES]) if losses else (),
        len(own["received"]) if "received" in own else 0,
        () if is_usual else _relay_ids(own),
        opaque,
        root.type.value == "message/partial",
    )


def _broken_seals(own: Fields) -> list[Loss]:
    return [Loss(f"the {name} field", "seal_broken") for name in _BROKEN_SEALS if name in own]


def _passed(fields: Iterable[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], str]:
    """The fields that go on as headers, in order, decoded to text; and the first Message-ID among them."""
    passed = []
    message_id = None
    for name, written in fields:
        value = _decoded(name, written) if "=?" in written else written
        passed.append((name, value))
        if message_id is None and name.lower() == "message-id":
            message_id = value
    return tuple(passed), message_id or ""


def _decoded(name: str, value: str) -> str:
    return decode_addresses(value) if name.lower() in _ADDRESS_FIELDS else decode_words(value)


def _relay_ids(own: Fields) -> tuple[str, ...]:
    """The ids of earlier passes through a relay, one or several a field."""
    return tuple(" ".join([value for key in _RELAY_IDS for value in own.get(key, ())]).replace(",", " ").split())


def _subject(values: Iterable[str]) -> str:
    """The first Subject that says something."""
    for value in values:
        # A tab stands where a long line was folded.
        if subject := decode_words(value).replace("\t", " ").strip():
            return subject
    return ""


def _mailboxes(own: Fields, key: str, losses: list[Loss] | None = None) -> tuple[Mailbox, ...]:
    """The mailboxes of all fields of one name: repeated ones are against RFC 5322 §3.6, but each was written to be read."""
    if key not in own:
        return ()
    lists = [*map(read_addresses, own[key])]
    for found in lists:
        if losses is not None and (found.groups or found.unusable):
            losses += [Loss(f"group name {name}", "group") for name in found.groups]
            losses += [_BAD_ADDRESS] * len(found.unusable)
    return lists[0].mailboxes if len(lists) == 1 else tuple(chain.from_iterable([one.mailboxes for one in lists]))


def _author(authors: tuple[Mailbox, ...], sender: Mailbox | None, losses: list[Loss]) -> Mailbox | None:
    """The API takes one author: the one that Sender names if it is among several (RFC 5322 §3.6.2), else the first."""
    if len(authors) > 1:
        losses += [Loss("a further author in From", "several_authors")] * (len(authors) - 1)
        key = sender.address.folded_key if sender else None
        return next((author for author in authors if author.address.folded_key == key), authors[0])
    return authors[0] if authors else None


def _stand_in(opaque: Literal["encrypted", "signed"], root: Entity, losses: list[Loss]) -> _Content:
    losses.append(Loss(f"the mail is {opaque}: its original is attached", "unrepresentable"))
    return NOTICES[opaque], None, (original(root.raw, root),)


def _plain_content(root: Entity, losses: list[Loss]) -> _Content | None:
    """What `_content` makes of one plain text, as most mails are, in less time; None where it says more than its text."""
    if "content-disposition" in root.header.own:
        return None
    text, replaced, files = read_text(root)
    if files:
        return None
    if replaced:
        losses.append(REPLACED)
    return text or "\n", None, ()


def _content(root: Entity, losses: list[Loss]) -> _Content:
    gathered = gather(root)
    html = gathered.html()
    attachments, attached = read_attachments(gathered.attachments, html) if gathered.attachments else ((), [])
    losses += gathered.losses
    losses += attached
    text = gathered.text()
    if not text and not html:
        names = ", ".join([attachment.filename for attachment in attachments])
        # The API requires a body, and an empty one may count as none.
        text = f"Attached: {names}\n" if names and text is None else "\n"
    return text or None, html or None, attachments
