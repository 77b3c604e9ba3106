"""Large data a slice at a time: one call on many megabytes would keep every other thread waiting.

In: octets or text. Out: slices of them, or what one call on the whole would yield. Never: a look at what they mean.
"""

import codecs
from collections.abc import Iterator
from typing import AnyStr

SLICE = 1 << 20
_WINDOW = 4 << 20
"""Searching is quicker than all else."""
DECODED = 1 << 17
"""Octets that are all wrong take a codec a quarter of a microsecond each."""


def pieces(whole: AnyStr, size: int = SLICE) -> Iterator[AnyStr]:
    """`whole` cut anywhere."""
    for at in range(0, len(whole), size):
        yield whole[at : at + size]


def line_slices(raw: bytes, start: int, end: int, size: int) -> Iterator[bytes]:
    """Slices of `raw[start:end]`, of `size` at most, that end behind a line end where there is one, and not within one."""
    while start < end:
        stop = min(end, start + size)
        if stop < end:
            stop = raw.rfind(b"\n", start, stop) + 1 or start + (len(raw[start:stop].rstrip(b"\r")) or size)
        yield raw[start:stop]
        start = stop


def find(whole: AnyStr, needle: AnyStr, start: int, end: int) -> int:
    """As `whole.find`."""
    for at in range(start, end, _WINDOW):
        hit = whole.find(needle, at, min(end, at + _WINDOW + len(needle)))
        if hit >= 0:
            return hit
    return -1


def replace(text: str, old: str, new: str) -> str:
    """As `text.replace`, for an `old` of one character, or of two that differ."""
    if len(text) <= SLICE:
        return text.replace(old, new)
    found = []
    at = 0
    while at < len(text):
        stop = at + SLICE
        stop += text[stop - 1 : stop + 1] == old
        found.append(text[at:stop].replace(old, new))
        at = stop
    return "".join(found)


def decoded(data: bytes, codec: str, errors: str) -> Iterator[str]:
    """As `data.decode`, in pieces."""
    if len(data) <= DECODED:
        yield data.decode(codec, errors)
    elif codec == "utf-7":
        # Its decoder would keep what is shifted and read it again with each slice. A line end ends what is shifted (RFC 2152).
        for piece in line_slices(data, 0, len(data), DECODED >> 3):
            yield piece.decode(codec, errors)
    else:
        decoder = codecs.getincrementaldecoder(codec)(errors)
        for piece in pieces(data, DECODED):
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
