"""The octets of a leaf, decoded or passed on.

In: an entity's span and encoding. Out: `Span`, a `model.message.Content`. Never: a copy before it is
asked for; a large attachment stays in the raw bytes until its base64 goes into the payload.
"""

from collections.abc import Callable, Iterable, Iterator

from qboxrelay.mime import quoted_printable, radix64, uuencode
from qboxrelay.mime.limits import bounded
from qboxrelay.mime.slices import SLICE, line_slices
from qboxrelay.model.value import value


@value(frozen=True, slots=True)
class Span:
    """`raw[start:end]` under a transfer encoding. `lines`: its line ends are text, so they are sent as CRLF (RFC 2046 §4.1.1)."""

    raw: bytes
    start: int
    end: int
    encoding: str
    lines: bool = False

    def base64(self) -> Iterator[bytes]:
        if self.encoding == "base64":
            return radix64.passed_on(self.raw, self.start, self.end)
        return radix64.encoded(self.pieces())

    def data(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The octets, in pieces of about a megabyte."""
        if self.encoding == "base64":
            return radix64.decoded(self.raw, self.start, self.end)
        if self.encoding == "uuencode":
            return uuencode.decoded(self.raw, self.start, self.end)
        if self.encoding == "quoted-printable":
            found = quoted_printable.decode_quoted_printable(self.raw, self.start, self.end)
        else:
            found = line_slices(self.raw, self.start, self.end, SLICE)
        return _with_crlf(found) if self.lines else found


def octets_of(raw: bytes, start: int, end: int, encoding: str) -> bytes:
    """What a text part holds. Its line ends become LF where they are no part of the encoded octets: cheaper here than in text."""
    if end - start > SLICE or (encoding and encoding not in _SHORT_CUTS):
        pieces = bounded(Span(raw, start, end, encoding).pieces())
        return b"".join(pieces if encoding == "base64" else (piece.replace(b"\r\n", b"\n") for piece in pieces))
    body = raw[start:end]
    if not encoding:
        return _with_lf(body)
    return _SHORT_CUTS[encoding](body if encoding == "base64" else _with_lf(body))


def _with_lf(body: bytes) -> bytes:
    """Line ends as LF. Where each CR stands before LF, deleting and putting back one octet is quicker than to look for two."""
    bare = body.replace(b"\r", b"")
    return bare if bare.replace(b"\n", b"\r\n") == body else body.replace(b"\r\n", b"\n")


_SHORT_CUTS: dict[str, Callable[[bytes], bytes]] = {
    "quoted-printable": quoted_printable.decode_piece,
    "base64": radix64.decode_loosely,
}


def _with_crlf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        bare = piece.count(b"\n") - piece.count(b"\r\n")
        yield piece.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if bare else piece
