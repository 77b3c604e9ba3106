"""All workers: the reception of a relay with `workers` above 1.

In: terms, the spool. Out: mail taken by processes that are started again when they end. Never: terms that only some of them have; a worker that
is stopped by anything but main.
"""

import asyncio
import signal
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import orjson
import structlog

from qboxrelay.domains.keeping import to_bytes
from qboxrelay.intake.admission import Keeping
from qboxrelay.intake.suppressed import Lookup
from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.model.clock import Clock
from qboxrelay.model.sender_domain import Listing
from qboxrelay.reception import Listening, Terms
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.telemetry.merging import Families, added, lasting
from qboxrelay.telemetry.metrics_workers import WorkerMetrics
from qboxrelay.workers.board import Board
from qboxrelay.workers.channel import Kind
from qboxrelay.workers.counts import Counts
from qboxrelay.workers.desk import Desk
from qboxrelay.workers.member import Member
from qboxrelay.workers.porter import Porter, Sockets
from qboxrelay.workers.puts import Puts
from qboxrelay.workers.words import WorkerTerms, terms_as_bytes

log = structlog.get_logger()

_LOOK_EVERY = timedelta(seconds=10)
_STUCK_SECONDS = 60.0
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=0.2), timedelta(seconds=30)
_LIVED_LONG = 60.0
"""A worker that ran for so long begins anew with the shortest wait."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """Terms that every worker could take, and the sockets for them."""

    terms: Terms
    sockets: Sockets
    by: tuple[Member, ...]


class Crew:
    """A `Reception`. `run` keeps the workers running; `close` and `end` at the end."""

    def __init__(
        self, count: int, *, spool: Keeping, confirmations: Confirmations, metrics: WorkerMetrics, clock: Clock
    ) -> None:
        self._count = count
        self._puts = Puts(spool)
        self._confirmations = confirmations
        self._metrics = metrics
        self._clock = clock
        self._board = Board.make()
        self._counts = Counts()
        self._porter = Porter(counts=self._counts, hand=lambda number, *words: self._members[number].hand(*words))
        self._members: dict[int, Member] = {}
        self._desks: dict[Member, Desk] = {}
        self._adopted: Planned | None = None
        self._past: Families = {}
        """What workers had counted that are gone."""
        self._closing = asyncio.Event()
        self._terms = asyncio.Lock()
        """Held while a worker that was started again is given its terms, and from a plan until it is adopted or discarded."""
        metrics.running(0)

    @property
    def listeners(self) -> Sequence[Listening]:
        return self._porter.doors

    @property
    def sessions(self) -> int:
        return self._counts.sessions

    async def plan(self, terms: Terms, inherited: InheritedSockets) -> Planned:
        await self._terms.acquire()
        try:
            sockets = self._porter.plan(terms.settings, inherited)
        except BaseException:
            self._terms.release()
            raise
        try:
            body = _as_bytes(terms)
            if self._adopted is None:
                await _all(self._begin(number) for number in range(1, self._count + 1))
            members = tuple(self._members.values())
            await _all(member.plan(body) for member in members)
        except BaseException:
            self.discard(Planned(terms, sockets, tuple(self._members.values())))
            raise
        return Planned(terms, sockets, members)

    async def adopt(self, plan: Planned) -> None:
        """A worker that was started meanwhile, or fails now, is given the new terms before it takes a connection."""
        self._adopted = plan
        try:
            await self._adopt_by_all(plan)
        finally:
            self._terms.release()
        self._porter.adopt(plan.terms.settings, plan.sockets)
        self._serve()

    async def _adopt_by_all(self, plan: Planned) -> None:
        for member in list(self._members.values()):
            try:
                if member not in plan.by:
                    await member.plan(_as_bytes(plan.terms))
                await member.adopt()
            except OSError as error:
                log.error("worker.failed", number=member.number, error=str(error.strerror))  # noqa: TRY400 - it says it all
                member.kill()

    def discard(self, plan: Planned) -> None:
        for opened in plan.sockets.values():
            opened.close()
        for member in plan.by:
            member.channel.news(Kind.DISCARD)
        self._terms.release()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._count + 1):
                group.create_task(self._keep(number), name=f"worker-{number}")
            group.create_task(self._look(), name="workers")

    async def close(self, grace: timedelta) -> None:
        self._closing.set()
        self._porter.close()
        await asyncio.gather(*(member.stop(grace) for member in self._members.values()))

    async def end(self) -> None:
        self._closing.set()
        self._porter.close()
        await asyncio.gather(*(self._let_go(member) for member in list(self._members.values())))

    # --- for the rest of main

    def listed(self, listing: Listing) -> None:
        """The Management API lists other domains now."""
        body = to_bytes(listing)
        for member in self._members.values():
            member.channel.news(Kind.LISTING, body)

    async def refresh(self) -> None:
        """Bring `families` up to date."""
        await asyncio.gather(*(member.refresh() for member in list(self._members.values())))

    def families(self) -> list[Families]:
        """What workers have counted, those included that are gone."""
        return [self._past, *(member.families for member in self._members.values())]

    def status(self) -> dict[str, object]:
        """For /readyz."""
        return {"wanted": self._count, "running": len(self._ready())}

    async def too_few(self) -> str | None:
        """Why mail cannot be taken as it should be, or None."""
        running = len(self._ready())
        return None if 2 * running >= self._count else f"{running} of {self._count} worker processes run"

    async def beats(self) -> bool:
        """For the watchdog: every worker that is there answers."""
        await asyncio.gather(*(member.answers() for member in list(self._members.values())))
        return True

    # --- one worker

    async def _begin(self, number: int) -> Member:
        member = Member(number, board=self._board, serve=self._served)
        await member.begin()
        self._desks[member] = Desk(puts=self._puts, confirmations=self._confirmations, lookup=self._lookup)
        self._members[number] = member
        return member

    async def _keep(self, number: int) -> None:
        waits = _waits()
        while not self._closing.is_set():
            member, began = self._members.get(number), self._clock.monotonic()
            if member is not None:
                await member.channel.gone()
                if self._closing.is_set():
                    return
                status = await self._let_go(member)
                if self._clock.monotonic() - began > _LIVED_LONG:
                    waits = _waits()
                log.error("worker.ended", number=number, status=status, hint=_hint(status))
            await self._clock.sleep(next(waits))
            if not self._closing.is_set():
                await self._start_again(number)

    async def _start_again(self, number: int) -> None:
        self._metrics.restarted()
        try:
            member = await self._begin(number)
            async with self._terms:
                if self._adopted is not None:
                    await member.plan(_as_bytes(self._adopted.terms))
                    await member.adopt()
        except OSError as error:
            log.error("worker.not_started", number=number, error=error.strerror or str(error))  # noqa: TRY400 - it says it all
            if (failed := self._members.get(number)) is not None:
                failed.kill()
            return
        log.info("worker.started", number=number)
        self._serve()

    async def _let_go(self, member: Member) -> int:
        """Forget a worker that has ended, or is to."""
        member.ready = False
        self._serve()
        status = await member.end()
        if self._members.get(member.number) is member:
            del self._members[member.number]
            self._counts.gone(member.number)
            self._board.write(member.number - 1, 0)
            self._past = added([self._past, lasting(member.families)])
            self._desks.pop(member).leave()
            self._serve()
        return status

    async def _look(self) -> None:
        """End a worker that does not answer: another one will take its place. What they have counted is shown elsewhere, too."""
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            await self.refresh()
            await asyncio.gather(*(self._look_at(member) for member in self._ready()))

    async def _look_at(self, member: Member) -> None:
        try:
            async with asyncio.timeout(_STUCK_SECONDS):
                await member.answers()
        except TimeoutError:
            log.error("worker.stuck", number=member.number, seconds=_STUCK_SECONDS)  # noqa: TRY400 - nothing is known of why
            member.kill()

    def _ready(self) -> list[Member]:
        return [member for member in self._members.values() if member.ready]

    def _serve(self) -> None:
        ready = self._ready()
        self._metrics.running(len(ready))
        if not self._closing.is_set():
            self._porter.serve(frozenset(member.number for member in ready))

    def _served(self, member: Member, kind: Kind, number: int, body: bytes) -> None:
        if kind is Kind.LEFT:
            listener, client = orjson.loads(body)
            self._counts.left(member.number, (listener, client))
        elif kind is Kind.TELL:
            for other in self._members.values():
                if other is not member:
                    other.channel.news(Kind.TELL, body)
        elif (desk := self._desks.get(member)) is not None:
            desk.serve(member.channel, kind, number, body)

    def _lookup(self) -> Lookup | None:
        return self._adopted.terms.gates.lookup if self._adopted is not None else None


def _as_bytes(terms: Terms) -> bytes:
    """With the listing of this moment: a worker that is started again hears only of later ones."""
    domains = terms.gates.domains
    listing = domains.listing if domains is not None else None
    return terms_as_bytes(
        WorkerTerms(
            settings=terms.settings,
            users=dict(terms.users),
            removed_users=terms.removed_users,
            asks_management=terms.asks_management,
            listing=to_bytes(listing) if listing is not None else None,
        )
    )


async def _all(work: Iterable[Awaitable[object]]) -> None:
    """Do all, and wait for all, before the first failure is raised."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one


def _waits() -> Iterator[timedelta]:
    """Between the end of a worker and its next start."""
    wait = _FIRST_WAIT
    while True:
        yield wait
        wait = min(2 * wait, _LONGEST_WAIT)


def _hint(status: int) -> str:
    if status == -signal.SIGKILL:
        return "it was killed: by hand, or because the memory was used up (see the kernel's log); its clients try again"
    return "its clients try again; what was answered 250 is safe"
