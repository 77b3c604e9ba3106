"""What relays that work on one spool agree on: turns of a token, conditions of accounts, who there is, who speaks for the spool.

In: what one relay learns and does. Out: what all of them know. Never: a token, which is told apart by its digest; more than is agreed on where one
relay is alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

SILENT_AFTER = timedelta(seconds=15)
"""A relay that was not heard of for so long does not run."""


class Life(StrEnum):
    """How a relay is, as others see it: it runs; it was not heard of for a while; it said goodbye."""

    RUNNING = "running"
    SILENT = "silent"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a relay did since its start, in submissions, and how fast it was in the last minute."""

    accepted: int = 0
    sent: int = 0
    accepted_per_second: float = 0.0
    sent_per_second: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One of the relays on a spool. `silent` is the time since its latest heartbeat, by the clock that all of them share."""

    name: str
    version: str
    started_at: datetime
    seen_at: datetime
    silent: timedelta
    stopped_at: datetime | None
    leads: bool
    work: Work

    @property
    def life(self) -> Life:
        if self.stopped_at is not None:
            return Life.STOPPED
        return Life.SILENT if self.silent > SILENT_AFTER else Life.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCondition:
    """How an account is, as the latest relay found it with the token of this digest. `wait` is how long nobody sends."""

    account: str
    condition: str
    reason: str
    token: bytes
    lasted: timedelta
    wait: timedelta
    version: int


@dataclass(frozen=True, slots=True)
class Turned:
    """A turn: the seconds until it, and the version of what is known of the account; 0 when nothing is.

    One that is further off than was asked for is not `taken`: it stays for whoever comes for it.
    """

    wait: float
    version: int
    taken: bool = True


class Nodes(Protocol):
    """Who there is."""

    async def nodes(self) -> list[Node]:
        """By name. Raises `SpoolError`."""
        ...


class Shared(Nodes, Protocol):
    """Every method raises `SpoolError` where the others cannot be asked; then nothing is agreed on."""

    @property
    def alone(self) -> bool:
        """There are no others, and nothing of this is needed."""
        ...

    @property
    def leads(self) -> bool:
        """Whether this relay speaks for the spool as a whole: never two of them at a time, and soon again one."""
        ...

    async def turn(
        self, token: bytes, account: str, *, interval: float, late: float, accepted: int, within: float
    ) -> Turned:
        """Take the next turn of a token, for an account, if it comes `within` so many seconds; the next one is `interval` + `late` after it.
        `accepted`: requests that passed since the last turn, each of which makes a token that was slowed down a little faster.
        """
        ...

    async def slow_down(self, token: bytes) -> None:
        """The API found it too fast: half as many turns from now on."""
        ...

    async def conditions(self) -> list[SharedCondition]: ...

    async def tell(self, account: str, condition: str, *, reason: str, token: bytes, wait: timedelta) -> None: ...

    async def recovered(self, account: str, version: int) -> None:
        """The account sends again, unless its condition is no longer that version."""
        ...

    async def may_probe(self, account: str, lease: timedelta) -> bool:
        """Whether this relay is to find out if an account's condition is over: one at a time, and each no longer than its lease."""
        ...

    async def changed(self) -> None:
        """Return when conditions may have changed; after a few seconds in any case."""
        ...

    async def run(self) -> None:
        """What has to go on for all this, until cancelled."""
        ...

    async def close(self) -> None:
        """Say goodbye."""
        ...


class Alone:
    """One relay that has its spool for itself."""

    alone = True
    leads = True

    async def turn(
        self,
        token: bytes,  # noqa: ARG002 - the port's
        account: str,  # noqa: ARG002 - as above
        *,
        interval: float,  # noqa: ARG002 - as above
        late: float,  # noqa: ARG002 - as above
        accepted: int,  # noqa: ARG002 - as above
        within: float,  # noqa: ARG002 - as above
    ) -> Turned:
        return Turned(0.0, 0)

    async def slow_down(self, token: bytes) -> None:
        pass

    async def conditions(self) -> list[SharedCondition]:
        return []

    async def tell(self, account: str, condition: str, *, reason: str, token: bytes, wait: timedelta) -> None:
        pass

    async def recovered(self, account: str, version: int) -> None:
        pass

    async def may_probe(self, account: str, lease: timedelta) -> bool:  # noqa: ARG002 - the port's
        return True

    async def changed(self) -> None:
        pass

    async def nodes(self) -> list[Node]:
        return []

    async def run(self) -> None:
        pass

    async def close(self) -> None:
        pass
