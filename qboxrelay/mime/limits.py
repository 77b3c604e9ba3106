"""How much of everything one mail may hold, and what is answered when it holds more.

In: nothing. Out: `Limits`, the refusals. Never: a limit that real mail meets; they end attacks and accidents, not mail.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import AnyStr

from qboxrelay.model.reply import Refusal, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on structure; the size of the whole is the door's business."""

    max_header_bytes: int = 1_000_000
    """One header section. Twenty thousand addresses fit."""
    max_fields: int = 2_000
    """Fields of one header section."""
    max_depth: int = 50
    """Multiparts within multiparts."""
    max_parts: int = 10_000
    """Leaves and multiparts together."""
    max_boundary_lookalikes: int = 100_000
    """Lines that begin like a delimiter and are none, over all multiparts: each costs time."""


DEFAULT = Limits()
_MAX_TEXT = 100_000_000
"""More than any request to the API could hold."""


def too_much(what: str) -> Refusal:
    """The mail is beyond a limit on its structure."""
    return Refusal(Reply(554, "5.6.0", f"Message refused: {what}"), rule="mime_limit")


def bounded(pieces: Iterable[AnyStr]) -> Iterator[AnyStr]:
    """The pieces of one text. Two octets of uuencode may stand for forty-five, one character of text for five of HTML."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > _MAX_TEXT:
            raise too_much("a text is too large when it is decoded")
        yield piece
