"""Leaves as attachments of the Send API.

In: the leaves that are not body, and the HTML that may refer to them. Out: attachments, losses. Never: an attachment without
name or type, or a Content-ID on what shall not be inline: the API would turn it inline.
"""

import re
from html import unescape
from urllib.parse import unquote

from qboxrelay.mime.body import Pasted
from qboxrelay.mime.content import Span
from qboxrelay.mime.entity import Entity
from qboxrelay.mime.filename import made_up_name, without_path, written_name
from qboxrelay.mime.slices import find
from qboxrelay.model.message import Attachment, Loss

_SCHEMES = ("cid:", "CID:", "Cid:")
_CID_END = re.compile(r"[\s\"'<>)]")
_MAX_CID = 1_000
_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")
_PARAMETERS_MATTER = ("text/", "message/", "application/pkcs7-mime", "application/x-pkcs7-mime", "application/ics")
_NAME_PARAMETERS = {"name", "boundary"}


def read_attachments(leaves: list[Entity | Pasted], html: str | None) -> tuple[tuple[Attachment, ...], list[Loss]]:
    """The attachments in the order of the parts."""
    referred = _referred(html) if html and leaves else set()
    losses: list[Loss] = []
    attachments = []
    for position, leaf in enumerate(leaves, 1):
        if isinstance(leaf, Pasted):
            name = without_path(leaf.name) or made_up_name(position, "application/octet-stream")
            content = Span(leaf.lines, 0, len(leaf.lines), "uuencode")
            attachments.append(Attachment(name, "application/octet-stream", content))
        else:
            attachments.append(_attachment(leaf, position, referred, losses))
    return tuple(attachments), losses


def _referred(html: str) -> set[str]:
    """The content ids of `cid:` URLs (RFC 2392), percent escapes and HTML's character references resolved."""
    written = set()
    for scheme in _SCHEMES:
        at = find(html, scheme, 0, len(html))
        while at >= 0:
            begin = at + len(scheme)
            stop = _CID_END.search(html, begin, begin + _MAX_CID)
            end = stop.start() if stop else min(len(html), begin + _MAX_CID)
            written.add(html[begin:end])
            at = find(html, scheme, end, len(html))
    return {unquote(unescape(url)) for url in written}


def _attachment(leaf: Entity, position: int, referred: set[str], losses: list[Loss]) -> Attachment:
    kind = leaf.type.value
    name = written_name(leaf) or made_up_name(position, kind)
    content = Span(leaf.raw, leaf.start, leaf.end, leaf.encoding, lines=_has_lines(leaf))
    content_id = _content_id(leaf)
    inline = leaf.disposition.value == "inline"
    if not content_id:
        if (inline and not kind.startswith("text/")) or leaf.first("content-location"):
            losses.append(Loss(f"inline disposition of {name}", "inline_without_content_id"))
    elif content_id not in referred and not inline:
        content_id = ""
    return Attachment(name, _content_type(leaf), content, content_id or None)


def _has_lines(leaf: Entity) -> bool:
    """Whether line ends are text: in text, and in everything but declared binary when the mail was kept with bare LF.

    SMTP carries lines ended by CRLF (RFC 5321 §2.3.8), so a mail kept in a file with LF is the mail that SMTP would bring.
    """
    if leaf.type.value.startswith(("text/", "message/")):
        return True
    first_line_end = leaf.raw.find(b"\n", 0, leaf.start)
    crlf = first_line_end > 0 and leaf.raw[first_line_end - 1] == 0x0D
    return not crlf and "binary" not in leaf.first("content-transfer-encoding").lower()


def _content_id(leaf: Entity) -> str:
    return leaf.first("content-id").strip("<> \t")


def _content_type(leaf: Entity) -> str:
    """Type and, where they change what the content means, its parameters: charset, method, access-type, smime-type."""
    kind = leaf.type.value
    if not kind.startswith(_PARAMETERS_MATTER):
        return kind
    written = [
        f"{name}={_quoted(value)}" for name, value in leaf.type.parameters.items() if name not in _NAME_PARAMETERS
    ]
    return "; ".join([kind, *written])


def _quoted(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
