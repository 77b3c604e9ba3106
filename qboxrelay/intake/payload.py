"""The JSON of one entry of `messages[]`: the only place that writes it.

In: a message, who receives it, its id. Out: bytes, to be stored and sent as they are. Never: a second copy of an attachment while it
is written, or one long call on large content: other threads get their turn between slices.

An entry is written in two halves. The first holds what is a submission's own (sender, recipients, id), the second what all
submissions of a transaction share; joined they are one JSON object.
"""

import io
from collections.abc import Iterator, Sequence

import orjson

from qboxrelay.intake.recipients import Audience
from qboxrelay.mime.slices import pieces
from qboxrelay.model.address import Mailbox
from qboxrelay.model.message import Attachment, Message
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.policy.loops import earlier_ids
from qboxrelay.settings.schema.mapping import MappingSettings

ID_HEADER = "X-Qboxrelay-Id"
EARLIER_IDS_HEADER = "X-Qboxrelay-Earlier-Ids"

Json = str | list["Json"] | dict[str, "Json"]
Entry = dict[str, Json]

_SLICE = 1 << 16
"""Characters of text at a time: for each one, orjson sets eight octets aside."""


def whole(
    author: Mailbox, audience: Audience, draft_id: str, message: Message, settings: MappingSettings, *, most: int
) -> bytes:
    """Both halves as one, for a transaction's only submission: written in one go. Raises `Refusal` when it passes `most` bytes."""
    entry = _addressed(author, audience)
    entry["headers"] = {ID_HEADER: draft_id, **_headers(message, settings)}
    large = _add_shared(entry, message, settings)
    return _ended(orjson.dumps(entry), large, message.attachments, most)


def own_half(author: Mailbox, audience: Audience, draft_id: str) -> bytes:
    """The object up to the first of its custom headers."""
    entry = _addressed(author, audience)
    entry["headers"] = {ID_HEADER: draft_id}
    return orjson.dumps(entry)[:-2]


def shared_half(message: Message, settings: MappingSettings, *, most: int) -> bytes:
    """The object from its second custom header to its end. Raises `Refusal` when it passes `most` bytes."""
    headers = _headers(message, settings)
    entry: Entry = {"headers": headers}
    large = _add_shared(entry, message, settings)
    half = orjson.dumps(entry)[len(b'{"headers":{') :]
    return _ended(b"," + half if headers else half, large, message.attachments, most)


def _addressed(author: Mailbox, audience: Audience) -> Entry:
    entry: Entry = {"from": _mailbox(author)}
    if audience.to:
        entry["to"] = [*map(_mailbox, audience.to)]
    if audience.cc:
        entry["cc"] = [*map(_mailbox, audience.cc)]
    if audience.bcc:
        entry["bcc"] = [*map(_mailbox, audience.bcc)]
    return entry


def _add_shared(entry: Entry, message: Message, settings: MappingSettings) -> list[tuple[str, str]]:
    """Puts in what stands behind the custom headers. What is too large to be written at once is left for later."""
    if message.reply_to:
        entry["reply_to"] = [*map(_mailbox, message.reply_to)]
    entry["subject"] = message.subject or settings.empty_subject
    large = []
    for key, text in (("text_body", message.text_body), ("html_body", message.html_body)):
        if text is not None and len(text) > _SLICE:
            large.append((key, text))
        elif text is not None:
            entry[key] = text
    return large


def _ended(half: bytes, large: Sequence[tuple[str, str]], attachments: Sequence[Attachment], most: int) -> bytes:
    if large or attachments:
        return _streamed(half[:-1], large, attachments, most)
    if len(half) > most:
        raise too_large(most)
    return half


def _streamed(opened: bytes, texts: Sequence[tuple[str, str]], attachments: Sequence[Attachment], most: int) -> bytes:
    """An object that `opened` begins, with what is large written slice by slice."""
    buffer = io.BytesIO()
    buffer.write(opened)
    for piece in _pieces(texts, attachments):
        buffer.write(piece)
        if buffer.tell() > most:
            raise too_large(most)
    return buffer.getvalue()


def _pieces(texts: Sequence[tuple[str, str]], attachments: Sequence[Attachment]) -> Iterator[bytes]:
    for key, text in texts:
        yield b',"%s":"' % key.encode()
        for piece in pieces(text, _SLICE):
            yield orjson.dumps(piece)[1:-1]
        yield b'"'
    for number, attachment in enumerate(attachments):
        yield b"," if number else b',"attachments":['
        yield orjson.dumps(_attachment(attachment))[:-1]
        yield b',"content":"'
        yield from attachment.content.base64()
        yield b'"}'
    yield b"]}" if attachments else b"}"


def _attachment(attachment: Attachment) -> Entry:
    entry: Entry = {
        "filename": attachment.filename,
        "content_type": attachment.content_type,
        "disposition": attachment.disposition,
    }
    if attachment.content_id is not None:
        entry["content_id"] = attachment.content_id
    return entry


def _headers(message: Message, settings: MappingSettings) -> Entry:
    """Custom headers under the spelling that came first; repeated ones as arrays, in order."""
    values: Entry
    headers = message.headers
    if settings.drop_headers or (len(headers) > 1 and len({name.lower() for name, _ in headers}) < len(headers)):
        values = _grouped(message, {name.lower() for name in settings.drop_headers})
    else:
        values = dict(message.headers)
    if settings.pass_date and message.date:
        values["Date"] = message.date
    if message.relay_ids and (earlier := earlier_ids(message)):
        values[EARLIER_IDS_HEADER] = " ".join(earlier)
    return values


def _grouped(message: Message, dropped: set[str]) -> Entry:
    spelled: dict[str, str] = {}
    found: dict[str, list[Json]] = {}
    for name, value in message.headers:
        key = name.lower()
        if key not in dropped:
            found.setdefault(spelled.setdefault(key, name), []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def _mailbox(mailbox: Mailbox) -> Entry:
    address = mailbox.address
    written = f"{address.local}@{address.domain}"
    return {"address": written, "name": mailbox.name} if mailbox.name else {"address": written}


def too_large(most: int) -> Refusal:
    text = f"Message too large: as a request to the API it would pass the limit of {most} bytes"
    return Refusal(Reply(552, "5.3.4", text), rule="too_large")
