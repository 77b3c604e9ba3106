"""The tree of a mail's parts (RFC 2045 §2.4): spans of the raw bytes, nothing decoded or copied.

In: the raw bytes. Out: `Entity`, with children where it is a multipart. Never: content, or a look into message/rfc822, which
travels as one attachment.
"""

import re
from dataclasses import dataclass

from qboxrelay.mime.boundary import guess_boundary, split_parts
from qboxrelay.mime.header import Header, read_header
from qboxrelay.mime.limits import Limits
from qboxrelay.mime.parameters import Parameterized, read_parameterized
from qboxrelay.mime.reading import Reading

_ENCODINGS = {
    "quoted-printable": "quoted-printable", "quotedprintable": "quoted-printable", "quoted-printeable": "quoted-printable",
    "quoted": "quoted-printable", "qp": "quoted-printable", "base64": "base64", "base-64": "base64", "b64": "base64",
    "uuencode": "uuencode", "x-uuencode": "uuencode", "x-uue": "uuencode", "uue": "uuencode",
    "7bit": "", "8bit": "", "binary": "",
}  # fmt: skip
"""What is not listed is no encoding: 7bit, 8bit, binary, and whatever else senders put there."""
_TYPE = re.compile(r"[a-z][a-z0-9.+_!#$&^-]{0,126}/[a-z0-9.+_!#$&^-]{1,127}")
"""RFC 6838 §4.2 has the lengths."""
_SWAPPED = {"plain/text": "text/plain", "html/text": "text/html"}
_NO_TYPE = Parameterized("")
_TYPE_DEFAULT = Parameterized("text/plain")
_DIGEST_DEFAULT = Parameterized("message/rfc822")


@dataclass(slots=True, eq=False)
class Entity:
    """One node. `start` and `end` delimit its body in `raw`; `type.value` is `maintype/subtype`, always both."""

    raw: bytes
    header: Header
    start: int
    end: int
    type: Parameterized
    disposition: Parameterized
    children: list["Entity"]

    def first(self, key: str) -> str:
        """The value of the first field of that name among the header's own; empty when there is none."""
        values = self.header.own.get(key)
        return values[0] if values else ""

    @property
    def encoding(self) -> str:
        """`base64`, `quoted-printable`, `uuencode`, or empty: as it stands."""
        own = self.header.own
        written = own["content-transfer-encoding"][0] if "content-transfer-encoding" in own else ""
        if not written:
            return ""
        known = _ENCODINGS.get(written.lower())
        if known is not None:
            return known
        word = written.partition(";")[0].partition("(")[0].strip(" \t\"'").lower()
        return _ENCODINGS.get(word) or _ENCODINGS.get(word.replace(" ", "").replace("_", "-"), "")


def read_entity(raw: bytes, limits: Limits) -> Entity:
    """The whole mail as a tree."""
    return _read(Reading(raw, limits), (0, len(raw)), _TYPE_DEFAULT, 0)


def _read(mail: Reading, span: tuple[int, int], default: Parameterized, depth: int) -> Entity:
    start, end = span
    header = read_header(mail, start, end)
    own = header.own
    entity = Entity(mail.raw, header, min(header.body, end), end, default, _NO_TYPE, [])
    if "content-disposition" in own and (written := own["content-disposition"][0]):
        entity.disposition = read_parameterized(written)
    if "content-type" in own and (written := own["content-type"][0]):
        entity.type = _repaired(read_parameterized(written), entity)
    if entity.type.value.startswith("multipart/"):
        spans = _part_spans(entity, mail)
        if not spans:
            # No part stands there. With a delimiter it is an empty mail, without one a text whose type nobody told.
            entity.start = entity.start if spans is None else entity.end
            entity.type = _TYPE_DEFAULT
            return entity
        child_default = _DIGEST_DEFAULT if entity.type.value == "multipart/digest" else _TYPE_DEFAULT
        entity.children = [_part(mail, part, child_default, depth + 1) for part in spans]
    return entity


def _part(mail: Reading, span: tuple[int, int], default: Parameterized, depth: int) -> Entity:
    mail.add_part(depth)
    return _read(mail, span, default, depth)


def _part_spans(entity: Entity, mail: Reading) -> list[tuple[int, int]] | None:
    start, end = entity.start, entity.end
    boundary = entity.type.get("boundary").rstrip(" \t").encode("utf-8", "replace")
    spans = split_parts(mail, start, end, boundary) if boundary else None
    if spans is None:
        guessed = guess_boundary(mail.raw, start, end)
        spans = split_parts(mail, start, end, guessed) if guessed else None
    return spans


def _repaired(written: Parameterized, entity: Entity) -> Parameterized:
    """A type that is none: text when the part looks like text, else octets (RFC 2045 §5.2)."""
    match = _TYPE.match(_SWAPPED.get(written.value, written.value))
    if match:
        return written if match[0] == written.value else Parameterized(match[0], written.parameters)
    main = written.value.partition("/")[0]
    if main in {"text", "multipart"}:
        return Parameterized("text/plain" if main == "text" else "multipart/mixed", written.parameters)
    named = written.get("name") or entity.disposition.get("filename")
    return Parameterized("application/octet-stream" if named else "text/plain", written.parameters)
