"""ISO-2022-JP as Japanese mailers really write it.

In: octets under an iso-2022-jp label that the strict codec refuses. Out: text, U+FFFD at worst. Never: an exception.

What the strict codec does not know: half-width katakana (ESC ( I) and the NEC and IBM characters of rows 13 and above, which
Windows mailers send as if they were JIS X 0208 ("CP50221"). Shift_JIS carries the same table, so each pair of octets is read as
windows-31j has it.
"""

import re
from contextlib import suppress
from functools import cache
from itertools import repeat

from qboxrelay.mime.slices import decoded, pieces

_MANY_RUNS = 10_000
_MIN_RUN_OCTETS = 8
"""Many runs that are shorter on average are no Japanese text, but an attack on the time that this careful reader takes."""
_DESIGNATION = re.compile(rb"\([A-Z]|\$\([A-Z]|\$[@AB]")
_PAIRS = 1 << 16
_KATAKANA = bytes(octet | 0x80 if 0x21 <= octet <= 0x5F else octet for octet in range(256))
_DOUBLE_BYTE = {b"$B", b"$@", b"$(B"}


def decode_iso2022_jp(data: bytes) -> str:
    """Text of ISO-2022-JP with its extensions; what stands before the first escape sequence is ASCII."""
    if data.count(b"\x1b") > max(_MANY_RUNS, len(data) // _MIN_RUN_OCTETS):
        return "".join(decoded(data, "iso2022_jp", "replace"))
    first, *runs = data.split(b"\x1b")
    return "".join([_ascii(first), *map(_run, runs)])


def _run(run: bytes) -> str:
    """What stands between two escape characters: a designation, and octets in the charset that it names."""
    match = _DESIGNATION.match(run)
    if match is None:
        return "\ufffd" + _ascii(run)
    octets = run[match.end() :]
    if match[0] in _DOUBLE_BYTE:
        line, line_end, rest = octets.partition(b"\n")
        # A run that forgets to return to ASCII ends with its line (RFC 1468).
        return _double_byte(line) + _ascii(line_end + rest)
    if match[0] == b"(I":
        return "".join(decoded(octets.translate(_KATAKANA), "cp932", "replace"))
    return _ascii(octets)


def _ascii(octets: bytes) -> str:
    return "".join(decoded(octets, "ascii", "replace"))


def _double_byte(octets: bytes) -> str:
    pairs = octets.rstrip(b"\r")
    read = [
        "".join(map(_characters().get, zip(piece[0::2], piece[1::2], strict=False), repeat("\ufffd")))
        for piece in pieces(pairs, _PAIRS)
    ]
    return "".join(read) + ("\ufffd" if len(pairs) % 2 else "")


@cache
def _characters() -> dict[tuple[int, int], str]:
    """The characters of windows-31j by their place in the 94 by 94 table that both encodings share."""
    found = {}
    for row in range(1, 95):
        lead = (row + 1) // 2 + (0x80 if row <= 62 else 0xC0)
        for cell in range(1, 95):
            trail = cell + (0x3F + (cell >= 64) if row % 2 else 0x9E)
            with suppress(UnicodeDecodeError):
                found[row + 0x20, cell + 0x20] = bytes((lead, trail)).decode("cp932")
    return found
