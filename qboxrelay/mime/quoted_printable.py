"""Quoted-printable bodies and the Q encoding, RFC 2045 §6.7 and RFC 2047 §4.2.

In: encoded octets. Out: octets; what is no encoding stands as it was (RFC 2045 §6.7, note on robust decoders). Never: an
exception, or one long call on large data.
"""

import binascii
import re
from collections.abc import Iterator

_ODD_EQUALS = re.compile(rb"=+(?==)|=\r(?!\n)|(=[ \t]+(?:\r?\n|\Z))")
_SLICE = 1 << 18


def decode_quoted_printable(raw: bytes, start: int, end: int) -> Iterator[bytes]:
    """The octets of `raw[start:end]`, in pieces that end where a line ends."""
    while start < end:
        stop = end if end - start <= _SLICE else _cut(raw, start, start + _SLICE)
        yield decode_piece(raw[start:stop])
        start = stop


def decode_piece(piece: bytes) -> bytes:
    """One piece that does not end within an escape."""
    octets = binascii.a2b_qp(piece)
    soft = piece.count(b"=\r\n") if b"\r" in piece else 0
    # Each escape makes three octets one and each soft line break none: if the sum is right, no equals sign was anything else.
    if len(octets) == len(piece) - 2 * piece.count(b"=") - soft and (b"\r" not in piece or piece.count(b"=\r") == soft):
        return octets
    return decode_tolerantly(piece)


def decode_tolerantly(piece: bytes) -> bytes:
    """One piece with equals signs that begin no escape: they stand for themselves."""
    return binascii.a2b_qp(_ODD_EQUALS.sub(_repaired, piece))


def _repaired(match: re.Match[bytes]) -> bytes:
    # binascii would read `==` as one equals sign and lose the line after `=CR`. Blanks between an equals sign and the end of
    # its line were added by transport (rule 3) and hide a soft line break.
    return match[0].replace(b"=", b"=3D") if match[1] is None else b""


def decode_q(content: bytes) -> bytes:
    """The Q encoding of an encoded word."""
    return binascii.a2b_qp(_ODD_EQUALS.sub(_repaired, content), header=True)


def _cut(raw: bytes, start: int, stop: int) -> int:
    """Where to cut near `stop`: behind a line end, or in a line without end where neither an escape nor its end stands."""
    line_end = raw.rfind(b"\n", start, stop)
    if line_end >= 0:
        return line_end + 1
    equals = raw.find(b"=", stop - 2, stop)
    if equals > start:
        return equals
    return stop - 1 if raw[stop - 1] == 0x0D else stop
