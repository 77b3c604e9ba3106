"""One mail while it is read.

In: its bytes, the limits. Out: `Reading`: what it has spent of the limits so far, and what its text without a label is written in.
Never: content; it goes from reader to reader and is forgotten when the mail is read.
"""

import re
from dataclasses import dataclass

from qboxrelay.mime.charset import codec_for
from qboxrelay.mime.limits import Limits, too_much

_CHARSET = re.compile(rb"[Cc][Hh][Aa][Rr][Ss][Ee][Tt]\s*=\s*\"?([A-Za-z0-9_.:-]{2,40})")
_WITHIN = 1 << 16
_MAX_LABELS = 20


@dataclass(slots=True)
class Reading:
    """The mail `raw`, being read."""

    raw: bytes
    limits: Limits
    parts: int = 1
    """The mail itself is one."""
    lookalikes: int = 0
    _charset: str | None = None

    @property
    def charset(self) -> str:
        """The charset of header text that is written without encoding and is no UTF-8: that of the body, as far as one is named.

        Programs that know no encoded words write header and body alike, and mail programs read them so.
        """
        if self._charset is None:
            self._charset = _first_charset(self.raw)
        return self._charset

    def add_part(self, depth: int) -> None:
        self.parts += 1
        if self.parts > self.limits.max_parts:
            raise too_much("too many parts")
        if depth > self.limits.max_depth:
            raise too_much("parts are nested too deeply")

    def add_lookalike(self) -> None:
        """Count a line that begins like a delimiter and is none."""
        self.lookalikes += 1
        if self.lookalikes > self.limits.max_boundary_lookalikes:
            raise too_much("too many lines that look like a boundary")


def _first_charset(raw: bytes) -> str:
    """The first label that says something about octets above 127; windows-1252 without one."""
    for match, _ in zip(_CHARSET.finditer(raw, 0, _WITHIN), range(_MAX_LABELS), strict=False):
        codec = codec_for(match[1].decode("ascii"))
        if codec is not None and codec.startswith("iso2022_jp"):
            # It has no such octets; programs in Japan that write any write Shift_JIS.
            return "cp932"
        if codec is not None and not codec.startswith("utf"):
            return codec
    return "cp1252"
