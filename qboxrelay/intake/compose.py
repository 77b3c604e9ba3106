"""From a `Message` to finished entries of `messages[]` (qboxrelay writes them here and nowhere else).

In: the message, the envelope's addresses, settings. Out: `Composed`: one `Draft` for each submission, and what was lost. Never:
I/O, randomness or time: the same message with the same ids gives the same bytes.

What all drafts of a transaction share (everything but recipients and id) is written once; large attachments are copied once,
from the received bytes into that shared piece, a slice at a time.
"""

from collections.abc import Sequence

from qboxrelay.intake.payload import own_half, shared_half, whole
from qboxrelay.intake.recipients import Audience, assembled
from qboxrelay.model.address import Address, Mailbox, domain_key
from qboxrelay.model.ids import submission_id
from qboxrelay.model.message import Loss, Message
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.model.value import value
from qboxrelay.settings.schema.mapping import MappingSettings

_NO_SENDER = Reply(
    550,
    "5.6.0",
    "Message refused: neither a From field nor the envelope names a sender. Set a From address in the sending program",
)
_OPAQUE = Reply(554, "5.6.0", "Message refused: encrypted or opaque-signed mail cannot be sent through this relay")
_NOBODY = Reply(554, "5.5.1", "No valid recipients")


@value(frozen=True, slots=True)
class Draft:
    """One submission. Its JSON object begins with what is its own; `rest` is one value for all drafts of a transaction."""

    id: str
    own: bytes
    rest: bytes
    recipients: tuple[Address, ...]

    @property
    def payload(self) -> bytes:
        """The finished JSON object. It is joined when asked for, so that many drafts of a large mail need not exist at once."""
        return self.own + self.rest if self.own else self.rest

    @property
    def payload_bytes(self) -> int:
        return len(self.own) + len(self.rest)


@value(frozen=True, slots=True)
class Composed:
    """What one transaction becomes. `from_address` is whom the mail will say it is from."""

    drafts: tuple[Draft, ...]
    losses: tuple[Loss, ...]
    from_address: Address

    @property
    def payload_bytes(self) -> int:
        """What the spool will hold for it."""
        size = 0
        for draft in self.drafts:
            size += len(draft.own) + len(draft.rest)
        return size


def compose(
    message: Message,
    *,
    transaction_id: str,
    sender: Address | None,
    recipients: Sequence[Address],
    settings: MappingSettings,
    max_submission_bytes: int,
) -> Composed:
    """Write the submissions of one transaction, or refuse it."""
    if message.opaque and settings.unrepresentable == "reject":
        raise Refusal(_OPAQUE, rule="unrepresentable")
    author = author_of(message, sender)
    if not author.address.domain.isascii():
        author = _in_dns_form(author)
    if not recipients:
        raise Refusal(_NOBODY, rule="no_recipients")
    audiences, unmailed = assembled(recipients, message.to, message.cc, settings.max_recipients_per_submission)
    drafts: tuple[Draft, ...]
    if len(audiences) == 1:
        # Both halves are written at once: a large payload need not be copied to put one before the other.
        draft_id = submission_id(transaction_id, 1)
        payload = whole(author, audiences[0], draft_id, message, settings, most=max_submission_bytes)
        drafts = (Draft(draft_id, b"", payload, audiences[0].addresses),)
    else:
        drafts = _drafts(message, author, audiences, transaction_id, settings, max_submission_bytes)
    losses = _losses(message, settings, unmailed, len(audiences))
    return Composed(drafts, (*message.losses, *losses), author.address)


def _drafts(
    message: Message,
    author: Mailbox,
    audiences: Sequence[Audience],
    transaction_id: str,
    settings: MappingSettings,
    most: int,
) -> tuple[Draft, ...]:
    ids = [submission_id(transaction_id, position) for position in range(1, len(audiences) + 1)]
    halves = [own_half(author, audience, draft_id) for audience, draft_id in zip(audiences, ids, strict=True)]
    rest = shared_half(message, settings, most=most - max(map(len, halves)))
    return tuple(
        Draft(draft_id, own, rest, audience.addresses)
        for draft_id, own, audience in zip(ids, halves, audiences, strict=True)
    )


def author_of(message: Message, sender: Address | None) -> Mailbox:
    """Whom the mail will say it is from. Raises `Refusal` when neither From nor the envelope names anybody."""
    author = message.from_ or named_author(message, sender)
    if author is None:
        raise Refusal(_NO_SENDER, rule="no_sender")
    return author


def _in_dns_form(author: Mailbox) -> Mailbox:
    """With its domain as it was judged: the API nowhere says that it knows the other spellings of a name (RFC 5890 §2.3.2.1, UTS 46).

    Where the local part is not ASCII either, no spelling of the domain makes an ordinary address of it (RFC 6532 §3.2): it stays as written.
    """
    local, domain = author.address.local, author.address.domain
    return Mailbox(Address(local, domain_key(domain)), author.name) if local.isascii() else author


def named_author(message: Message, sender: Address | None) -> Mailbox | None:
    """From, else the envelope sender; None when neither names anybody."""
    return message.from_ or (Mailbox(sender) if sender else None)


def _losses(message: Message, settings: MappingSettings, unmailed: int, submissions: int) -> list[Loss]:
    losses = []
    if unmailed:
        losses.append(Loss(f"{unmailed} address(es) of To and Cc that the envelope does not hold", "not_in_envelope"))
    if submissions > 1:
        losses.append(Loss(f"one list of recipients: there are {submissions} submissions", "recipients_split"))
    if message.sender and message.from_ and message.sender.address.folded_key != message.from_.address.folded_key:
        losses.append(Loss("the Sender field", "structural_header"))
    if settings.drop_headers:
        dropped = {name.lower() for name in settings.drop_headers}
        losses += [Loss(f"the {name} field", "drop_headers") for name, _ in message.headers if name.lower() in dropped]
    return losses
