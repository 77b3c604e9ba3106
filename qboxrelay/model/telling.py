"""Telling other processes of the same relay what counts for all of them together.

In: words, the first of which says what kind of thing it is. Out: nothing. Never: a wait, or an answer.
"""

from typing import Protocol


class Tell(Protocol):
    """Says to whoever else has doors of this relay what happened here."""

    def __call__(self, *words: str) -> None: ...


def nobody(*_words: str) -> None:
    """There is no other process."""
