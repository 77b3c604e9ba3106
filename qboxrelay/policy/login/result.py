"""What a login came to: exactly one of four.

In: the judgement about a claim. Out: frozen values to be matched exhaustively. Never: why a claim is wrong; that is for the log, not for
the client.
"""

from dataclasses import dataclass
from typing import Literal

from qboxrelay.settings.schema import UserSettings


@dataclass(frozen=True, slots=True)
class User:
    """Who has logged in, and what that binds."""

    name: str
    account: str | None = None
    """The account that its mail leaves through; None: chosen by the sender domain."""
    accept: Literal["spool", "confirm"] | None = None
    """When it hears 250; None: as the listener says."""

    @classmethod
    def of(cls, settings: UserSettings) -> "User":
        return cls(settings.name, settings.account or None, settings.accept)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    user: User


@dataclass(frozen=True, slots=True)
class Wrong:
    """No such user, another password, or not from there: the client is not told which."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """Not looked at, after too many failures. `seconds` until the next try has a chance."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The relay cannot tell now."""


Result = LoggedIn | Wrong | Throttled | Unavailable
