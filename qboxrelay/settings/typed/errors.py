"""What is wrong with data.

In: kinds of mistakes, and where. Out: an exception that holds all of them. Never: the text for people; `complaint` makes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`kind` is one of a few words, `input` what was given, `context` what the kind needs to be told."""

    kind: str
    place: Place
    input: Any = field(repr=False)
    context: dict[str, Any] = field(default_factory=dict)


class ValidationError(ValueError):
    """Data that a class does not take."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        # Not what was given: it may be a secret.
        super().__init__("; ".join(f"{'.'.join(map(str, one.place))}: {one.kind}" for one in mistakes))
        self.mistakes = tuple(mistakes)


class Wrong(Exception):  # noqa: N818 - what the data is
    """Raised by a reader: what is wrong with one value, and with those within it."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__()
        self.mistakes = mistakes

    def within(self, part: str | int) -> Iterator[Mistake]:
        """The same, seen from outside."""
        return (Mistake(one.kind, (part, *one.place), one.input, one.context) for one in self.mistakes)


def wrong(kind: str, value: object, **context: Any) -> Wrong:
    """One mistake, of the value itself."""
    return Wrong(Mistake(kind, (), value, context))
