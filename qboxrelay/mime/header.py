"""A header section: where it ends, and its fields unfolded.

In: `raw[start:end]`, an entity. Out: its fields and where its body begins. Never: an exception other than a limit's refusal.

The quick reader takes what RFC 5322 §2.2 describes, with UTF-8 where RFC 6532 allows it. Anything else goes to the tolerant
reader, which knows what old programs write; where the quick one applies, both say the same.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from qboxrelay.mime.charset import decode, is_utf8
from qboxrelay.mime.limits import Limits, too_much
from qboxrelay.mime.reading import Reading

_OWN = frozenset({
    "from", "to", "cc", "bcc", "resent-bcc", "subject", "reply-to", "sender", "date", "mime-version", "return-path", "received",
    "dkim-signature", "authentication-results", "delivered-to", "x-original-to", "x-qboxrelay-id", "x-qboxrelay-earlier-ids",
})  # fmt: skip
"""Fields that are not passed on as they are: the API has a place of its own for them, or they belong to the way the mail came."""
_OWN_PREFIXES = ("content-", "arc-")
_NAME = re.compile(r"[!-9;-~]{1,200}")
_NAME_COLON = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_LIKELY_FIELD = re.compile(rb"\n[A-Za-z][A-Za-z0-9_-]*[ \t]*:")
_PLAIN = bytes([9, 10, 13, *range(32, 127), *range(128, 256)])
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]+")
_MAX_QUICK = 1 << 17
"""A larger section is read line by line: no single call on it may keep other threads waiting."""


Fields = dict[str, list[str]]
"""Values by key, which is a name in lower case."""


@dataclass(slots=True)
class Header:
    """Fields unfolded, encoded words still encoded; and where the body begins.

    `own` holds the values of fields that mean something to the relay, `others` the rest by name.
    """

    own: Fields
    others: list[tuple[str, str]]
    size: int
    """How many fields there are."""
    body: int


@lru_cache(maxsize=4096)
def own_key(name: str) -> str:
    """The key of a field that means something to the relay, empty for any other (RFC 5322 §3.6.8).

    Raises `ValueError` for what is no name, or too long for one: an exception is not remembered, so that junk takes no memory.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("no name of a field")
    key = name.lower()
    return key if key in _OWN or key.startswith(_OWN_PREFIXES) else ""


_USUAL_KEYS = {
    name: own_key(name)
    for name in (
        "Received", "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "Message-Id", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
    )
}  # fmt: skip
"""What nearly every mail has. To look here first takes half the time: nothing must be told that it was used."""


def read_header(mail: Reading, start: int, end: int) -> Header:
    """The header section at the head of an entity; without one, all of it is body."""
    raw, limits = mail.raw, mail.limits
    if raw.startswith((b"\n", b"\r\n"), start, end):
        return Header({}, [], 0, raw.index(b"\n", start) + 1)
    stop = raw.find(b"\r\n\r\n", start, min(end, start + limits.max_header_bytes))
    header = read_quickly(raw, start, stop + 2, stop + 4) if stop >= 0 else None
    if header is None:
        stop, body = _section(raw, start, end, limits)
        header = read_quickly(raw, start, stop, body) or read_tolerantly(mail, start, stop, body)
    if header.size > limits.max_fields:
        raise too_much("too many header fields")
    return header


def _section(raw: bytes, start: int, end: int, limits: Limits) -> tuple[int, int]:
    """Where the last field's line ends, and where the body begins: behind the first empty line."""
    window = min(end, start + limits.max_header_bytes)
    crlf = raw.find(b"\n\r\n", start, window)
    bare = raw.find(b"\n\n", start, window if crlf < 0 else crlf + 1)
    if bare >= 0:
        return bare + 1, bare + 2
    if crlf >= 0:
        return crlf + 1, crlf + 3
    if window < end:
        if _NAME_COLON.match(raw, start):
            raise too_much("the header section is too large")
        return start, start
    return end, end


def read_quickly(raw: bytes, start: int, stop: int, body: int) -> Header | None:
    """The fields, if every line is as the standard has it; else None."""
    block = raw[start:stop]
    if len(block) > _MAX_QUICK or block.translate(None, _PLAIN):
        return None
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return None
    line_end = "\r\n" if text[-2:] == "\r\n" else "\n"
    # No pattern: what reads them is seldom in the processor's caches when a mail comes, and takes 2 µs more.
    lines = text.replace(f"{line_end} ", " ").replace(f"{line_end}\t", "\t").split(line_end)
    joined = "".join(lines)
    is_ascii = joined.isascii()
    if lines.pop() or "\r" in joined or "\n" in joined or (not is_ascii and _CONTROLS.search(joined)):
        return None
    try:
        # ASCII without control characters holds no other blanks, and to look for them all is quicker than for two.
        own, others = _sorted(lines, None if is_ascii else " \t")
    except ValueError:
        return None
    return Header(own, others, len(lines), body)


def _sorted(lines: Iterable[str], blanks: str | None) -> tuple[Fields, list[tuple[str, str]]]:
    """Fields as `Header` holds them, `blanks` around the values taken off. Raises `ValueError` when one is none."""
    own: Fields = {}
    others = []
    for line in lines:
        name, colon, written = line.partition(":")
        key = _USUAL_KEYS.get(name)
        if key is None:
            key = own_key(name)
        value = written.strip(blanks)
        if not key:
            others.append((name, value))
        elif key in own:
            own[key].append(value)
        else:
            own[key] = [value]
        if not colon:
            raise ValueError("no field")
    return own, others


def read_tolerantly(mail: Reading, start: int, stop: int, body: int) -> Header:
    """The fields of a section with 8-bit text, control characters, broken folding, or text where fields should be."""
    raw = mail.raw
    lines: list[bytearray] = []
    last_field = -1
    at = start
    while at < stop:
        line_end = raw.find(b"\n", at, stop)
        line_end = stop if line_end < 0 else line_end
        line = raw[at:line_end].rstrip(b"\r")
        if lines and line[:1] in {b" ", b"\t", b""}:
            lines[-1] += line
        elif _NAME_COLON.match(line.lstrip(b" \t")):
            lines.append(bytearray(line))
        elif not _is_mbox_line(line, first=at == start):
            if last_field < 0:
                last_field = max((match.start() for match in _LIKELY_FIELD.finditer(raw, at, stop)), default=0)
            if not lines or last_field < line_end:
                body = at
                break
            # A line folded without its blank: fields follow, so it is not the body yet.
            lines[-1] += b" " + line
        at = line_end + 1
    own, others = _sorted([_field(line, mail) for line in lines], " \t")
    return Header(own, others, len(lines), body)


def _is_mbox_line(line: bytes, *, first: bool) -> bool:
    return first and line.startswith((b"From ", b">From "))


def _field(line: bytearray, mail: Reading) -> str:
    name, colon, rest = bytes(line).partition(b":")
    text = decode(rest, None if is_utf8(rest) else mail.charset)[0]
    return (name.strip(b" \t") + colon).decode("ascii") + _CONTROLS.sub(" ", text)
