"""A multipart body cut at its delimiter lines (RFC 2046 §5.1.1).

In: `raw[start:end]` and a boundary. Out: where the parts are. Never: a copy of them, or one long call on large data.

A delimiter is a line of its own: two hyphens, the boundary, perhaps two hyphens, perhaps blanks. A line that only begins so is
text (boundaries may be prefixes of one another). Without a final delimiter the last part reaches to the end.
"""

import re

from qboxrelay.mime.limits import too_much
from qboxrelay.mime.reading import Reading
from qboxrelay.mime.slices import find

_MAX_DELIMITER_TAIL = 1_000
_GUESS = re.compile(rb"\n--([^\r\n]{1,200})\r?\n[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-")
_GUESS_WITHIN = 1 << 16


def split_parts(mail: Reading, start: int, end: int, boundary: bytes) -> list[tuple[int, int]] | None:
    """The spans of the parts, preamble and epilogue left out; None when no delimiter stands there."""
    raw = mail.raw
    mark = b"--" + boundary
    spans: list[tuple[int, int]] = []
    opened = -1
    found = False
    at = start if raw.startswith(mark, start, end) else _next_line(raw, mark, start, end)
    while at >= 0:
        after = at + len(mark)
        line_end = raw.find(b"\n", after, min(end, after + _MAX_DELIMITER_TAIL))
        line_end = min(end, after + _MAX_DELIMITER_TAIL) if line_end < 0 else line_end
        tail = raw[after:line_end].rstrip(b" \t\r")
        if tail in {b"", b"--"}:
            found = True
            if opened >= 0:
                spans.append((opened, _line_end_before(raw, at, opened)))
            elif tail:
                mail.add_lookalike()
            # A final delimiter ends only what is open: senders that give nested multiparts one boundary go on behind it.
            opened = -1 if tail else line_end + 1
            if len(spans) > mail.limits.max_parts:
                raise too_much("too many parts")
        else:
            mail.add_lookalike()
        at = _next_line(raw, mark, after, end)
    if opened >= 0:
        spans.append((min(opened, end), end))
    return spans if found else None


def _next_line(raw: bytes, mark: bytes, start: int, end: int) -> int:
    """Where the next line that begins with `mark` begins, or -1."""
    # The line end before the first delimiter may be the one that ended the header.
    hit = find(raw, b"\n" + mark, max(0, start - 1), end)
    return hit + 1 if hit >= 0 else -1


def _line_end_before(raw: bytes, at: int, start: int) -> int:
    """The line end before a delimiter belongs to the delimiter."""
    end = at - 1
    if end > start and raw[end - 1] == 0x0D:
        end -= 1
    return max(start, end)


def guess_boundary(raw: bytes, start: int, end: int) -> bytes | None:
    """The boundary that a body really uses, when the declared one is missing or wrong: a `--` line before a part's header."""
    # The line end before the body's first line is the one that ended the header.
    match = _GUESS.search(raw, start - 1, min(end, start + _GUESS_WITHIN))
    return match[1].rstrip(b" \t") if match else None
