"""What a rule says of a configuration that breaks it.

In: a key and two clauses. Out: `Finding`. Never: a value that was refused; it may be a secret.
"""

from dataclasses import dataclass

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a configuration breaks, at the key that is easiest to mend."""

    path: KeyPath
    wrong: str
    instead: str = ""
