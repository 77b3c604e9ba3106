"""A stored `messages[]` entry as a mail again, for people and their mail programs.

In: the finished JSON of a submission. Out: a message (RFC 5322) as bytes. Never: exactly what came in: that JSON cannot say; the message as
received is kept only where the settings say so (`keep_raw`).
"""

import re
from collections.abc import Iterator, Mapping
from email.generator import BytesGenerator
from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from io import BytesIO
from typing import Any

import orjson

_LINE = 76
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_STANDARD = (("from", "From"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("reply_to", "Reply-To"))


def rebuilt(payload: bytes) -> bytes:
    """Raises ValueError for what is no JSON object."""
    entry = orjson.loads(payload)
    if not isinstance(entry, dict):
        raise ValueError("the content is no JSON object")  # noqa: TRY004 - the spool's fault, not the caller's
    body = _body(entry)
    for name, value in headers_of(entry):
        body[name] = Header(value, _charset(value), header_name=name, maxlinelen=_LINE).encode()
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=compat32.clone(linesep="\r\n")).flatten(body)
    return out.getvalue()


def _charset(value: str) -> str:
    return "us-ascii" if value.isascii() else "utf-8"


def headers_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and decoded values, without control characters, as a mail program shows them."""
    for key, name in _STANDARD:
        value = entry.get(key)
        if value:
            yield name, ", ".join(map(_mailbox, value if isinstance(value, list) else [value]))
    yield "Subject", _clean(entry.get("subject", ""))
    for name, values in (entry.get("headers") or {}).items():
        for value in values if isinstance(values, list) else [values]:
            yield name, _clean(value)


def _mailbox(value: Any) -> str:
    if not isinstance(value, dict):
        return _clean(value)
    address, name = _clean(value.get("address", "")), _clean(value.get("name", ""))
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if name else address


def _body(entry: Mapping[str, Any]) -> Message:
    texts = [MIMEText(entry[key], kind, "utf-8") for key, kind in _TEXTS if isinstance(entry.get(key), str)]
    body: Message = texts[0] if len(texts) == 1 else _multipart("alternative", texts or [MIMEText("")])
    attachments = [one for one in entry.get("attachments") or () if isinstance(one, dict)]
    inline = [_part(one) for one in attachments if one.get("content_id")]
    if inline:
        body = _multipart("related", [body, *inline])
    others = [_part(one) for one in attachments if not one.get("content_id")]
    return _multipart("mixed", [body, *others]) if others else body


_TEXTS = (("text_body", "plain"), ("html_body", "html"))


def _multipart(kind: str, parts: "list[Any]") -> Message:
    whole = MIMEMultipart(kind)
    for part in parts:
        whole.attach(part)
    return whole


def _part(attachment: Mapping[str, Any]) -> Message:
    part = Message()
    part["Content-Type"] = _clean(attachment.get("content_type", "")) or "application/octet-stream"
    name = _clean(attachment.get("filename", ""))
    filename = name if name.isascii() else ("utf-8", "", name)
    part.add_header("Content-Disposition", _clean(attachment.get("disposition", "attachment")), filename=filename)
    part["Content-Transfer-Encoding"] = "base64"
    if attachment.get("content_id"):
        part["Content-ID"] = f"<{_clean(attachment['content_id'])}>"
    content = str(attachment.get("content", ""))
    part.set_payload("\n".join(content[at : at + _LINE] for at in range(0, len(content), _LINE)) + "\n")
    return part


def _clean(value: object) -> str:
    return _CONTROL.sub(" ", str(value)).strip()
