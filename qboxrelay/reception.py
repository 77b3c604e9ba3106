"""Taking mail in one process: the doors, and the intake behind them.

In: terms (settings, users, gates), a spool. Out: open doors. Never: sending; a decision about how many processes there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry

from qboxrelay.doors import Doors, Plan
from qboxrelay.gates import Gates
from qboxrelay.intake.admission import Intake, Keeping
from qboxrelay.intake.decide import Rules
from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.model.clock import Clock
from qboxrelay.model.telling import Tell, nobody
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.types import SocketAddress
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.smtp.handed import Left
from qboxrelay.smtp.limits import Memory
from qboxrelay.spool.confirmations import Verdicts
from qboxrelay.telemetry.metrics import IntakeMetrics
from qboxrelay.telemetry.tracing import Tracing

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what mail is taken, until others are adopted."""

    settings: Settings
    users: Mapping[str, UserSecrets]
    gates: Gates
    asks_management: bool = False
    """Whether the relay asks the Management API."""
    removed_users: frozenset[str] = frozenset()
    """Whose open sessions may send nothing more."""


class Listening(Protocol):
    """A door that is open."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> SocketAddress: ...

    @property
    def port(self) -> int: ...


class Reception(Protocol, Generic[P]):
    """Who takes mail: this process or workers. `plan` and `adopt` for the start and for each reload."""

    @property
    def listeners(self) -> Sequence[Listening]: ...

    @property
    def sessions(self) -> int:
        """How many are open, those of doors that are gone included."""
        ...

    async def plan(self, terms: Terms, inherited: InheritedSockets) -> P:
        """Everything that may fail. Raises OSError; then nothing has changed."""
        ...

    async def adopt(self, plan: P) -> None: ...

    def discard(self, plan: P) -> None: ...

    async def run(self) -> None:
        """What goes on beside the mail, until cancelled."""
        ...

    async def close(self, grace: timedelta) -> None:
        """Accept no more; sessions with a mail under way have `grace` to finish it."""
        ...

    async def end(self) -> None:
        """After `close`: nothing is left behind."""
        ...


class OwnReception:
    """The reception in this process."""

    def __init__(
        self,
        *,
        spool: Keeping,
        registry: CollectorRegistry,
        clock: Clock,
        terms: Terms,
        confirmations: Verdicts,
        tracing: Tracing,
        memory: Memory | None = None,
        left: Left | None = None,
        tell: Tell = nobody,
    ) -> None:
        """The last three are for a worker: see `Doors`."""
        self._intake = Intake(
            spool=spool,
            rules=_rules(terms),
            metrics=IntakeMetrics(registry, clock.monotonic),
            sender_domains=terms.gates.sender_domains,
            confirmations=confirmations,
            suppressions=terms.gates.suppressions,
            tracing=tracing,
        )
        self.doors = Doors(
            registry=registry,
            clock=clock,
            admission=self._intake,
            settings=terms.settings,
            memory=memory,
            left=left,
            tell=tell,
        )

    @property
    def listeners(self) -> Sequence[Listening]:
        return self.doors.listeners

    @property
    def sessions(self) -> int:
        return self.doors.sessions

    async def plan(self, terms: Terms, inherited: InheritedSockets) -> tuple[Terms, Plan]:
        return terms, self.doors.plan(terms.settings, terms.users, inherited)

    async def adopt(self, plan: tuple[Terms, Plan]) -> None:
        terms, doors = plan
        self._intake.adopt(_rules(terms), terms.gates.sender_domains, terms.gates.suppressions)
        await self.doors.adopt(doors)

    def discard(self, plan: tuple[Terms, Plan]) -> None:
        plan[1].discard()

    async def run(self) -> None:
        await self.doors.run()

    async def close(self, grace: timedelta) -> None:
        await self.doors.close(grace)

    async def end(self) -> None:
        self._intake.close()
        self.doors.end()


def _rules(terms: Terms) -> Rules:
    return Rules(terms.settings, removed_users=terms.removed_users)
