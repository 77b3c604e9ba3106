"""What is wrong with a configuration, in words for the person who wrote it.

In: findings of loading and verifying. Out: `Problem`, `SettingsError`. Never: the value of a key, which may be a secret; file
and line lead to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend. `wrong` and `instead` are clauses without a full stop."""

    source: str = ""
    """The file, or `environment`; empty when neither says anything about the key."""
    line: int | None = None
    key: str = ""
    """Path of the key, such as `accounts[0].token_file`; empty when it is about the source as a whole."""
    wrong: str
    instead: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line is not None else self.source
        text = f"{self.wrong}; {self.instead}" if self.instead else self.wrong
        return ": ".join(part for part in (place, self.key, text) if part)


class SettingsError(Exception):
    """A configuration that cannot run. `problems` are all of them, once each, in the order of the file; the environment's are last."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        ordered = sorted(dict.fromkeys(problems), key=_place)
        super().__init__("\n".join(map(str, ordered)))
        self.problems = tuple(ordered)


def _place(problem: Problem) -> tuple[bool, int, str]:
    return problem.line is None, problem.line or 0, problem.key
