"""The one place that wires everything, in the order of starting, and takes it down in the order of the flow.

In: `Settings`, tokens, a clock. Out: a running relay. Never: a decision about mail.
"""

import asyncio
import errno
import random
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from qboxrelay import descriptors
from qboxrelay.dispatch.dispatcher import Dispatcher
from qboxrelay.gates import GateMaker, Gates, gates_differ
from qboxrelay.manager.service_manager import ServiceManager
from qboxrelay.model.clock import Clock
from qboxrelay.parts import close_spool, fallback_of, notices_of, spools_of, trouble_of
from qboxrelay.qboxmail.token import TokenSource
from qboxrelay.reception import Listening, OwnReception, Reception, Terms
from qboxrelay.reload import Configuration, Reloaded, Reloads
from qboxrelay.settings.changes import changed_sections, taken_over
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.user_secrets import NO_USERS, UserSecrets
from qboxrelay.spool.backend import queue_of
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.spool.port import Spool
from qboxrelay.spool.shared import Shared
from qboxrelay.status.app import create_app
from qboxrelay.status.doorkeeper import Doorkeeper
from qboxrelay.status.figures import SpoolFigures
from qboxrelay.status.health import Health
from qboxrelay.status.history import History
from qboxrelay.status.pauses import OperatorPauses
from qboxrelay.status.server import HttpServer
from qboxrelay.status.sessions import Sessions
from qboxrelay.status.site import Site
from qboxrelay.status.token import token_of_pages
from qboxrelay.stop import Stop
from qboxrelay.telemetry.logs import change_level
from qboxrelay.telemetry.merging import AddedUp
from qboxrelay.telemetry.metrics import build_info
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics
from qboxrelay.telemetry.metrics_health import HealthMetrics
from qboxrelay.telemetry.metrics_loop import LoopLag
from qboxrelay.telemetry.metrics_spool import DepthCollector, PauseMetrics
from qboxrelay.telemetry.metrics_workers import WorkerMetrics
from qboxrelay.telemetry.tracing import OFF, Tracing, open_tracing
from qboxrelay.upkeep import Upkeep
from qboxrelay.vitals import Vitals
from qboxrelay.workers.crew import Crew

log = structlog.get_logger()

_RETIRED_AFTER = timedelta(minutes=2)
_HTTP_GRACE = timedelta(seconds=2)
_TRACING_GRACE = timedelta(seconds=3)


class Relay:
    """One relay in one event loop: `start`, then `run` until `stop` is called, which `run` survives to clean up."""

    def __init__(
        self,
        *,
        settings: Settings,
        tokens: Mapping[str, TokenSource],
        clock: Clock,
        users: Mapping[str, UserSecrets] = NO_USERS,
        management_token: TokenSource | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        """Without `management_token` sender domains are known from the configuration alone, or not at all; without `manager` nobody else is
        told how the relay is.
        """
        self._manager = manager or ServiceManager()
        self._settings = settings
        self._tokens = tokens
        self._users = users
        self._clock = clock
        self._end = Stop(timeout=settings.relay.stop_timeout, monotonic=clock.monotonic)
        self.registry = CollectorRegistry()
        self.spool: Spool
        self._shared: Shared
        self.http: HttpServer | None = None
        self.failed = False
        """Whether it stopped by itself, for a reason that it logged, and should be started again."""
        self._history: History | None = None
        self._confirmations = Confirmations()
        self._tracing: Tracing = OFF
        self._open = False
        self._management_token = management_token
        self._gate_maker = GateMaker(registry=self.registry, clock=clock)
        self._gates = Gates()
        self._removed_users: set[str] = set()
        self._reception: Reception[Any]
        self._crew: Crew | None = None
        """The reception, where it is workers."""
        self._pages: Site | None = None
        self._group: asyncio.TaskGroup
        self._routines: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Open the spool, then the doors, unless a stop was asked for meanwhile. Raises `SpoolError`, or OSError for an address that
        cannot be used.
        """
        settings = self._settings
        build_info(self.registry, version("qboxrelay"))
        self._tracing = open_tracing(
            endpoint=settings.tracing.endpoint,
            sample_ratio=settings.tracing.sample_ratio,
            name=settings.relay.name or socket.gethostname(),
            version=version("qboxrelay"),
        )
        self._shared, self.spool = await spools_of(
            settings, registry=self.registry, counters=self._counters, clock=self._clock
        )
        self._pauses = OperatorPauses(
            self.spool, [account.name for account in settings.accounts], PauseMetrics(self.registry)
        )
        try:
            self._gates = self._gate_maker.make(settings, self._management_token, self.spool)
            self._gate_maker.use(self._gates)
        except BaseException:
            await close_spool(self.spool, self._shared, self._end.closing)
            raise
        terms = Terms(
            settings=settings, users=self._users, gates=self._gates, asks_management=self._management_token is not None
        )
        self._reception = self._open_reception(terms)
        try:
            self._dispatcher = Dispatcher(
                spool=self.spool,
                accounts=settings.accounts,
                tokens=self._tokens,
                settings=settings.delivery,
                clock=self._clock,
                rng=random.Random(),
                metrics=DispatchMetrics(
                    self.registry, window=settings.status.request_window, monotonic=self._clock.monotonic
                ),
                confirmations=self._confirmations,
                notices=notices_of(settings, spool=self.spool, registry=self.registry, clock=self._clock),
                tracing=self._tracing,
                shared=self._shared,
            )
            await self._gates.start()
            if self._end.asked:
                return
            await self._open_http()
            await self._reception.adopt(await self._reception.plan(terms, self._manager.sockets))
            self._manager.sockets.close()
        except BaseException:
            await self._reception.close(timedelta())
            await self._close()
            raise
        self._open = True
        log.info(
            "relay.started",
            version=version("qboxrelay"),
            smtp=[f"{listener.name}={listener.address}" for listener in self.listeners],
            accounts=[account.name for account in settings.accounts],
        )

    async def run(self, ready: Callable[[], None] = lambda: None, reloads: Reloads | None = None) -> None:
        """Send mail until `stop`, and reload when asked; then finish what is under way, within the stop timeout, and close everything."""
        vitals = Vitals(
            spool=self.spool,
            dispatcher=self._dispatcher,
            sessions=lambda: self._reception.sessions,
            workers=self._crew.beats if self._crew is not None else None,
        )
        upkeep = Upkeep(spool=self.spool, clock=self._clock)
        async with asyncio.TaskGroup() as group:
            dispatching = group.create_task(self._dispatcher.run(), name="dispatcher")
            routines = [
                group.create_task(upkeep.prune(), name="prune"),
                group.create_task(LoopLag(self.registry, self._clock).run(), name="loop-lag"),
                group.create_task(self._reception.run(), name="reception"),
                group.create_task(upkeep.follow(self._take_up), name="operators"),
                group.create_task(descriptors.watch(self._clock), name="descriptors"),
                group.create_task(self._stop_when_damaged(), name="damage"),
                group.create_task(self._manager.watch(vitals.pulses(), self._clock), name="watchdog"),
                group.create_task(self._manager.tell(vitals.figures, self._clock), name="status-line"),
            ]
            self._group, self._routines = group, {routine.get_name(): routine for routine in routines}
            self._routine(self._gates.run(), "sender-domains")
            self._routine(self._shared.run(), "node")
            if self._history is not None:
                self._routine(self._history.run(), "history")
            if not self._end.asked:
                self._manager.ready(await vitals.figures())
                ready()
            if reloads is not None:
                self._routine(reloads.run(self.reload), "reloads")
            await self._end.wait()
            await self._stop()
            for routine in list(self._routines.values()):
                routine.cancel()
            await dispatching
        await self._close()
        log.info("relay.stopped")

    @property
    def listeners(self) -> Sequence[Listening]:
        """The doors that are open."""
        return self._reception.listeners

    async def reload(self, wanted: Configuration) -> Reloaded:
        """Take over of another configuration what can be while the relay runs; sessions go on. Raises OSError for a file or an address that
        cannot be used; then nothing has changed.
        """
        settings, waiting = taken_over(self._settings, wanted.settings)
        parts, gates = self._dispatcher.prepare(settings.accounts, wanted.tokens), self._gates
        if gates_differ(self._settings, settings):
            gates = self._gate_maker.make(settings, wanted.management_token, self.spool)
        try:
            if gates is not self._gates:
                await gates.start()
            terms = Terms(
                settings=settings,
                users=wanted.users,
                gates=gates,
                asks_management=wanted.management_token is not None,
                removed_users=self._removed(settings),
            )
            plan = await self._planned(terms)
        except BaseException:
            if gates is not self._gates:
                await gates.close()
            raise
        before, self._settings = self._settings, settings
        self._removed_users = set(terms.removed_users)
        self._dispatcher.adopt(parts)
        self._use(gates)
        if self._pages is not None:
            self._pages.adopt(settings, gates.domains)
        await self._reception.adopt(plan)
        change_level(settings.log)
        return Reloaded(changed_sections(before, settings), waiting)

    async def _planned(self, terms: Terms) -> Any:
        plan = await self._reception.plan(terms, self._manager.sockets)
        if self._end.asked:
            self._reception.discard(plan)
            raise OSError(errno.ESHUTDOWN, "the relay is stopping")
        return plan

    def _removed(self, settings: Settings) -> frozenset[str]:
        """Users that are no more, whose sessions may still be open."""
        users = {user.name for user in settings.users}
        return frozenset((self._removed_users | {user.name for user in self._settings.users}) - users)

    def _use(self, gates: Gates) -> None:
        """Gates that are replaced are closed when the mails that they judge are through."""
        old, self._gates = self._gates, gates
        if old is not gates:
            self._gate_maker.use(gates)
            self._routines["sender-domains"].cancel()
            self._routine(gates.run(), "sender-domains")
            self._routine(self._retire(old), f"retired-{id(old)}")

    async def _retire(self, gates: Gates) -> None:
        try:
            await self._clock.sleep(_RETIRED_AFTER)
        finally:
            await gates.close()
            self._routines.pop(f"retired-{id(gates)}", None)

    def _routine(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Something that goes on beside the mail until the relay stops."""
        self._routines[name] = self._group.create_task(work, name=name)

    async def _take_up(self) -> None:
        """What others may have changed in the spool."""
        await self._pauses.refresh()
        await self._gates.look()

    def stop(self) -> None:
        """Begin the end; safe to call from a signal handler of the event loop, before `start` has returned, and more than once: then what
        is under way is cut off.
        """
        self._end.ask()

    async def _stop(self) -> None:
        self._manager.stopping(self._settings.relay.stop_timeout)
        log.info("relay.stopping", seconds=self._settings.relay.stop_timeout.total_seconds())
        # Whoever waits for a verdict hears that the mail is safe, which is true.
        self._confirmations.close()
        await self._end.grant(0.5, self._reception.close)
        await self._end.grant(1.0, self._dispatcher.drain)

    async def _close(self) -> None:
        await self._reception.end()
        if self.http is not None:
            await self.http.stop(self._end.closing(_HTTP_GRACE))
        await self._gates.close()
        await self._tracing.close(self._end.closing(_TRACING_GRACE))
        await close_spool(self.spool, self._shared, self._end.closing)

    def _open_reception(self, terms: Terms) -> Reception[Any]:
        count = terms.settings.relay.workers
        if count > 1:
            self._crew = Crew(
                count,
                spool=self.spool,
                confirmations=self._confirmations,
                metrics=WorkerMetrics(self.registry),
                clock=self._clock,
            )
            self._gate_maker.listed = self._crew.listed
            return self._crew
        return OwnReception(
            spool=self.spool,
            registry=self.registry,
            clock=self._clock,
            terms=terms,
            confirmations=self._confirmations,
            tracing=self._tracing,
        )

    async def _open_http(self) -> None:
        address = self._settings.status.address
        if address is None:
            return
        figures = SpoolFigures(self.spool, [account.name for account in self._settings.accounts], self._clock)
        self.registry.register(DepthCollector(figures.latest, leads=lambda: self._shared.leads))
        crew = self._crew
        health = Health(
            probes={"spool": lambda: trouble_of(self.spool), **({"workers": crew.too_few} if crew is not None else {})},
            detail=lambda: {
                "accounts": self._dispatcher.status(),
                "pauses": self._pauses.shown(),
                "sender_domains": self._gates.status(),
                **fallback_of(self.spool),
                **({"workers": crew.status()} if crew is not None else {}),
            },
            stage=self._stage,
            found=HealthMetrics(self.registry).found,
            clock=self._clock,
        )
        registry = self._counters()

        async def refresh() -> None:
            await figures.refresh()
            if crew is not None:
                await crew.refresh()

        self._history = History(registry=registry, refresh=refresh, figures=figures.latest, clock=self._clock)
        self._pages = site = self._site(self._history, health)
        app = create_app(registry=registry, refresh=refresh, health=health, site=site)
        self.http = HttpServer(app, address)
        await self.http.start(self._manager.sockets.take("status", address))

    def _counters(self) -> CollectorRegistry:
        """Those of all processes of this relay."""
        return self.registry if self._crew is None else AddedUp(self.registry, self._crew.families)

    def _site(self, history: History, health: Health) -> Site:
        settings = self._settings
        name = settings.relay.name or socket.gethostname()
        return Site(
            name=name,
            version=version("qboxrelay"),
            settings=settings,
            queue=queue_of(self.spool, settings, clock=self._clock),
            history=history,
            health=health,
            conditions=self._dispatcher.status,
            domains=self._gates.domains,
            nodes=None if self._shared.alone else self._shared.nodes,
            keeper=Doorkeeper(
                settings=settings.status,
                names=(name, socket.gethostname()),
                token=token_of_pages(settings.status.token_file),
                sessions=Sessions(monotonic=self._clock.monotonic, random_text=secrets.token_urlsafe),
            ),
            clock=self._clock,
        )

    async def _stop_when_damaged(self) -> None:
        """A new start rescues what can be read; going on would only answer 451."""
        text = await self.spool.damaged()
        log.error(
            "spool.damaged", text=text, hint="the relay stops; its next start keeps the file and rescues the mail"
        )
        self.failed = True
        self._end.ask()

    def _stage(self) -> str | None:
        """Why no mail is taken that has nothing to do with trouble."""
        if self._end.asked:
            return "the relay is stopping"
        return None if self._open else "the doors are not open yet"
