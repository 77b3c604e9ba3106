"""Line ends: CRLF as SMTP has it, LF as files have it, and what old programs send instead.

In: octets. Out: octets. Never: one long call on large data.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator

from qboxrelay.mime.slices import SLICE, line_slices

_HEAD = 300
_FIELD = re.compile(rb"[A-Za-z][A-Za-z-]{,78}:")
_CR_AS_LF = bytes.maketrans(b"\r", b"\n")


def with_line_ends(raw: bytes) -> bytes:
    """A mail with line ends that the readers know: CRLF or LF. Old programs send CR alone, or one CR too many.

    What else programs put before the first field is taken off: a byte order mark, blank lines.
    """
    raw = raw.removeprefix(BOM_UTF8)
    if raw.find(b"\r\r\n", 0, _HEAD) >= 0:
        raw = b"".join([piece.replace(b"\r\r\n", b"\r\n").replace(b"\r\r\n", b"\r\n") for piece in _slices(raw)])
    elif raw.find(b"\n", 0, _HEAD) < 0 <= raw.find(b"\r", 0, _HEAD):
        raw = b"".join([piece.replace(b"\r\n", b"\n").translate(_CR_AS_LF) for piece in _slices(raw)])
    if raw[:1] not in {b"\r", b"\n"}:
        return raw
    blank = len(raw) - len(raw.lstrip(b"\r\n"))
    # Blank lines before the first field would turn the header into text.
    return raw[blank:] if _FIELD.match(raw, blank) else raw


def _slices(raw: bytes) -> Iterator[bytes]:
    return line_slices(raw, 0, len(raw), SLICE)
