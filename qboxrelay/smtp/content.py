"""The content of a mail, taken from the bytes of a connection as they come (RFC 5321 §4.5.2).

In: a buffer that grows. Out: the content in pieces, dots unstuffed. Never: more in memory than the limit allows, or an end other than
CRLF.CRLF: a bare LF or CR before the dot is how mail is smuggled (CVE-2024-27305).
"""

import asyncio
import re

from qboxrelay.model.value import value
from qboxrelay.smtp.lines import LineEnds

_REMARKABLE = re.compile(rb"\n(?:\.|(?<!\r\n))")
"""A line that begins with a dot, or a bare LF: without one a piece has neither an end nor anything to mend, in one look."""
_END = b"\r\n.\r\n"
_LAST_LINE = b".\r\n"
_DOT = ord(".")
_JOINED_INLINE = 1 << 20
"""Joining more than this takes milliseconds, in a thread without the interpreter lock (CPython's bytes.join releases it)."""

_SMALL = 1 << 14
Pieces = list[bytes | bytearray]


class TooLarge(Exception):  # noqa: N818 - what the client did
    """The content passed the limit. `ended`: its end was here already; else the rest of it was not read."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__()
        self.ended = ended


def add_piece(parts: Pieces, piece: bytes) -> None:
    """Put one more behind the others. Small ones are joined: a client that sends byte by byte would make a list larger than its mail."""
    if parts and len(piece) < _SMALL and len(parts[-1]) < _SMALL:
        last = parts[-1]
        if isinstance(last, bytes):
            last = parts[-1] = bytearray(last)
        last += piece
    else:
        parts.append(piece)


@value(frozen=True, slots=True)
class Content:
    """A content, and what its lines looked like."""

    parts: Pieces
    bare_line_feeds: bool = False
    line_too_long: bool = False

    async def take(self, room: asyncio.Semaphore) -> bytes:
        """The whole; nothing of it stays here. A large one is joined beside the event loop, while there is `room` for a second copy."""
        if sum(map(len, self.parts)) <= _JOINED_INLINE:
            whole = b"".join(self.parts)
            self.parts.clear()
            return whole
        async with room:
            whole = await asyncio.to_thread(b"".join, self.parts)
            self.parts.clear()
        return whole


def whole_content(data: bytes, limit: int, line_limit: int) -> bytes | None:
    """The content that `data` is from its first byte to its last, where that is plain to see: one look and one copy instead of five. None says
    only that it is `ContentReader`'s to look at, piece by piece.
    """
    size = len(data) - len(_LAST_LINE)
    if not data.endswith(_END) or data[0] == _DOT or size > limit or size > line_limit:
        return None
    found = _REMARKABLE.search(data)
    return data[:size] if found is not None and found.start() == size - 1 else None


class ContentReader:
    """Takes one content out of a buffer, which must begin with the line end of the DATA command: the CRLF before an empty content's dot."""

    __slots__ = ("_ends", "_limit", "_parts", "_size")

    def __init__(self, limit: int, line_limit: int) -> None:
        self._limit = limit
        self._ends = LineEnds(line_limit)
        self._parts: Pieces = []
        self._size = -2

    def take(self, buffer: bytearray) -> Content | None:
        """What the buffer holds so far is taken; the content when its end is there. Raises `TooLarge`."""
        found = _REMARKABLE.search(buffer)
        first = max(found.start() - 1, 0) if found is not None else -1
        end = buffer.find(_END, first) if found is not None else -1
        if end < 0:
            self._keep(_cut(buffer), plain=found is None)
            if self._size + len(buffer) > self._limit + len(_END):
                raise TooLarge(ended=False)
            return None
        last = bytes(buffer[: end + 2])
        del buffer[: end + len(_END)]
        if self._size + len(last) > self._limit:
            raise TooLarge(ended=True)
        # Mostly the end is the first thing to be remarked.
        self._keep(last, plain=end == first)
        self._parts[0] = self._parts[0][2:]
        return Content(self._parts, self._ends.bare_line_feeds, self._ends.line_too_long)

    def _keep(self, part: bytes, *, plain: bool) -> None:
        if part:
            self._size += len(part)
            self._ends.look(part, plain=plain)
            add_piece(self._parts, part if plain else part.replace(b"\r\n.", b"\r\n"))


def _cut(buffer: bytearray) -> bytes:
    """Take what can be decided already: up to the last line end, which may be that of the final dot or of a stuffed one."""
    last = buffer.rfind(b"\r\n")
    end = last if last > 0 else len(buffer) - len(_END) + 1
    if end < len(_END):
        return b""
    with memoryview(buffer) as whole:
        part = bytes(whole[:end])
    del buffer[:end]
    return part
