"""What the line ends of a content look like, watched piece by piece.

In: pieces of content that never split a CRLF. Out: whether there is a bare LF, whether a line is too long. Never: a copy of the
content, except where a line limit is smaller than a piece.
"""

import re

_BARE = re.compile(rb"\n(?<!\r\n)")


class LineEnds:
    """Looks at one content."""

    __slots__ = ("_limit", "_run", "bare_line_feeds", "line_too_long")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._run = 0
        self.bare_line_feeds = False
        self.line_too_long = False

    def look(self, piece: bytes, *, plain: bool = False) -> None:
        """Take the next piece into account; a `plain` one is known to have no bare LF."""
        if not plain and not self.bare_line_feeds:
            self.bare_line_feeds = _BARE.search(piece) is not None
        if not self.line_too_long:
            self._measure(piece)

    def _measure(self, piece: bytes) -> None:
        first = piece.find(b"\n")
        if first < 0:
            self._run += len(piece)
        else:
            self.line_too_long = self._run + first - (piece[first - 1 : first] == b"\r") > self._limit
            if len(piece) > self._limit:
                self.line_too_long |= max(map(_without_end, piece.split(b"\n")[1:])) > self._limit
            self._run = len(piece) - piece.rfind(b"\n") - 1
        self.line_too_long |= self._run > self._limit


def _without_end(line: bytes) -> int:
    """The length of a line whose LF is cut off already."""
    return len(line) - line.endswith(b"\r")
