"""Content-Type and Content-Disposition: a value and its parameters (RFC 2045 §5.1, RFC 2183, RFC 2231).

In: the text of a field. Out: `Parameterized`. Never: an exception. Missing quotes, quotes without end, comments, blanks around
the equals sign, repeated parameters and encoded words in values are read as their writers meant them.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from qboxrelay.mime.charset import decode
from qboxrelay.mime.words import decode_words, one_line

_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^;]*+)', re.DOTALL)
_COMMENT = re.compile(r"(?:\A|\s)\([^()]*\)")
"""Only behind a blank: some boundaries and names without quotes hold parentheses."""
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?")
_PERCENT = re.compile(rb"%(?=[0-9A-Fa-f]{2})")
_MAX_REMEMBERED = 120
_MAX_LENGTH = 1 << 15
"""What stands beyond it in a field is not read: a bound on what an absurd one costs."""


@dataclass(frozen=True, slots=True)
class Parameterized:
    """`value` in lower case, without blanks; parameter names in lower case, their values decoded."""

    value: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        return self.parameters.get(name, "")


def read_parameterized(text: str) -> Parameterized:
    """A field such as `text/plain; charset=utf-8`. Short ones repeat from mail to mail, so they are remembered."""
    return _remembered(text) if len(text) <= _MAX_REMEMBERED else _read(text[:_MAX_LENGTH])


def _read(text: str) -> Parameterized:
    head, semicolon, rest = text.partition(";")
    if "=" in head:
        # The first semicolon is missing: `text/html charset=utf-8`.
        head, _, first = head.strip().partition(" ")
        rest, semicolon = f"{first};{rest}", ";"
    value = _COMMENT.sub("", head).strip(' \t",').lower()
    if not semicolon:
        return Parameterized(value)
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(f";{rest}"):
        found.setdefault(match[1].lower(), _unquoted(match[2]))
    if any("*" in name for name in found):
        found = _assembled(found)
    return Parameterized(value, MappingProxyType({name: decode_words(text) for name, text in found.items()}))


_remembered = lru_cache(maxsize=1024)(_read)


def _unquoted(written: str) -> str:
    if written[:1] != '"':
        return _COMMENT.sub("", written).strip() if "(" in written else written.strip()
    inner = written[1:-1] if len(written) > 1 and written[-1] == '"' else written[1:]
    # Only quotes and backslashes are unescaped: Windows paths stand here with single backslashes.
    return "\\".join([piece.replace('\\"', '"') for piece in inner.split("\\\\")]) if "\\" in inner else inner


def _assembled(found: dict[str, str]) -> dict[str, str]:
    """RFC 2231: `name*0*`, `name*1`, … joined, `name*` decoded; the extended form wins over the plain one (RFC 6266 §4.3)."""
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, str]]] = {}
    for key, value in found.items():
        match = _SECTION.fullmatch(key)
        if match is None or (match[2] is None and match[3] is None):
            plain[key] = value
        else:
            sections.setdefault(match[1], []).append((int(match[2] or 0), match[3] is not None, value))
    return plain | {name: _joined(sorted(parts)) for name, parts in sections.items()}


def _joined(parts: list[tuple[int, bool, str]]) -> str:
    charset = ""
    octets = bytearray()
    for position, (_, extended, value) in enumerate(parts):
        text = value
        if extended and position == 0 and value.count("'") >= 2:
            charset, _, text = value.split("'", 2)
        written = text.encode("utf-8", "replace")
        octets += _percent_decoded(written) if extended else written
    return one_line(decode(bytes(octets), charset or None)[0])


def _percent_decoded(octets: bytes) -> bytes:
    """RFC 2231 writes octets as quoted-printable does, with another sign; what is no escape stands for itself."""
    return binascii.a2b_qp(_PERCENT.sub(b"=", octets.replace(b"=", b"=3D")))
