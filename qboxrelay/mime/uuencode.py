"""Uuencode: as a transfer encoding, and as files pasted into text.

In: octets or text. Out: octets in pieces; text without the files. Never: an exception; lines that are no uuencode are skipped.
"""

import binascii
import re
from collections.abc import Iterator

_FILE = re.compile(r"begin [0-7]{3,4} ([^\n]+)\n([!-`][ -`]*+\n(?:[ -`]*+\n)*+)end[ \t]*(?:\n|\Z)")
"""Neither its lines nor `end` can be read in two ways, so that a look at it costs what it is long."""
_MAX_TRIES = 1_000
_HEAD = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} [^\n]*\n", re.MULTILINE)
_HEAD_WITHIN = 1 << 13
_PIECE = 1 << 16


def decoded(raw: bytes, start: int, end: int) -> Iterator[bytes]:
    """The octets of `raw[start:end]`, uuencoded lines with or without their begin and end lines; a piece is what stood in some."""
    head = _HEAD.search(raw[start : min(end, start + _HEAD_WITHIN)])
    at = start + head.end() if head else start
    while at < end:
        stop = raw.find(b"\n", min(end, at + _PIECE), end) + 1 or end
        lines = raw[at:stop].translate(None, b"\r").split(b"\n")
        last = next(
            (number for number, line in enumerate(lines) if line[:3] == b"end" and line.strip() == b"end"), None
        )
        yield b"".join([_decode_line(line) for line in lines[:last] if line])
        at = stop if last is None else end


def extract_files(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text without the uuencoded files in it, and the files: their names and lines."""
    # From the right, since the search then looks for the letter b and not for a blank: half the time.
    if text.rfind("begin ") < 0:
        return text, []
    kept: list[str] = []
    files: list[tuple[str, bytes]] = []
    done = at = 0
    for _ in range(_MAX_TRIES):
        if not text.startswith("begin ", at):
            at = text.find("\nbegin ", at) + 1
            if at == 0:
                break
        file = _FILE.match(text, at)
        if file is None:
            at += 1
            continue
        kept.append(text[done:at])
        files.append((file[1].strip(), file[2].encode("ascii")))
        done = at = file.end()
    return ("".join([*kept, text[done:]]), files) if files else (text, [])


def _decode_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        # A line longer than its count says (some encoders add a checksum character): cut it to the count.
        count = ((line[0] - 32) & 63) * 4
        try:
            return binascii.a2b_uu(line[: 1 + -(-count // 3)])
        except binascii.Error:
            return b""
