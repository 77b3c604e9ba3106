"""Base64 (RFC 2045 §6.8): passed on without decoding, or read.

In: `raw[start:end]`, the encoded octets with their line ends. Out: pieces of base64 without line ends, or pieces of octets.
Never: one long call on large data: every call below works on a slice, so that other threads get their turn.

Passing on deletes what is not base64, line ends as well as noise (RFC 2045 §6.8 asks to ignore it), in one pass over each slice.
Only the slice with padding is decoded and encoded anew: padding may be missing, too much, or in the middle.
"""

import binascii
import re
from collections.abc import Iterable, Iterator

from qboxrelay.mime.slices import find, pieces

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOISE = bytes(set(range(256)) - set(_ALPHABET) - {ord("=")})
_BASE64_TEXT = _ALPHABET + b"=\r\n \t"
_BETWEEN_PADDING = re.compile(rb"[^=]{2,}")
"""A single character says nothing."""
_SLICE = 3 << 15
"""A multiple of three and of four: encoding and decoding cut nothing apart."""


def passed_on(raw: bytes, start: int, end: int) -> Iterator[bytes]:
    """The same base64 without line ends, as strict decoders take it: whole quanta, padding at the end (RFC 4648 §4)."""
    for quanta, tail in _quanta(raw, start, end):
        yield quanta
        yield from encoded((decode_loosely(tail),))


def decoded(raw: bytes, start: int, end: int) -> Iterator[bytes]:
    """The octets; noise between the characters is skipped."""
    for quanta, tail in _quanta(raw, start, end):
        yield binascii.a2b_base64(quanta)
        yield decode_loosely(tail)


def _quanta(raw: bytes, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Whole quanta without padding, in slices; with the last of them what follows: padding, or too few characters."""
    padding = find(raw, b"=", start, end)
    stop = end if padding < 0 else padding
    rest = b""
    for at in range(start, stop, _SLICE):
        whole = rest + raw[at : min(at + _SLICE, stop)].translate(None, _NOISE)
        rest = whole[len(whole) - len(whole) % 4 :]
        yield (whole[: -len(rest)] if rest else whole), b""
    yield b"", rest + raw[stop:end]


def encoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Octets in pieces of any size as one base64 text."""
    rest = b""
    for piece in pieces:
        whole = rest + piece if rest else piece
        rest = b""
        for at in range(0, len(whole), _SLICE):
            block = whole[at : at + _SLICE]
            cut = len(block) - len(block) % 3
            rest = block[cut:]
            yield binascii.b2a_base64(block[:cut] if rest else block, newline=False)
    if rest:
        yield binascii.b2a_base64(rest, newline=False)


def decode_loosely(content: bytes) -> bytes:
    """Base64 with padding missing, too much, or in the middle, where a sender joined two encodings.

    What follows padding counts only when it is nothing but base64: a footer that a list added to the text is not.
    """
    compact = _without(content, _NOISE).rstrip(b"=")
    first = compact.find(b"=")
    if first < 0:
        return _unpadded(compact)
    if _without(content[content.find(b"=") :], _BASE64_TEXT):
        return _unpadded(compact[:first])
    octets = bytearray()
    at = 0
    while at < len(compact):
        stop = find(compact, b"=", at + _SLICE, len(compact))
        stop = len(compact) if stop < 0 else stop
        for segment in _BETWEEN_PADDING.finditer(compact, at, stop):
            octets += _unpadded(segment[0])
        at = stop
    return bytes(octets)


def _without(content: bytes, delete: bytes) -> bytes:
    if len(content) <= _SLICE:
        return content.translate(None, delete)
    return b"".join([piece.translate(None, delete) for piece in pieces(content, _SLICE)])


def _unpadded(segment: bytes) -> bytes:
    whole = segment[:-1] if len(segment) % 4 == 1 else segment
    whole += b"=" * (-len(whole) % 4)
    if len(whole) <= _SLICE:
        return binascii.a2b_base64(whole)
    return b"".join([binascii.a2b_base64(piece) for piece in pieces(whole, _SLICE)])
