"""The one place that wires everything, in the order of starting, and takes it down in the order of the flow.

In: `Settings`, tokens, a clock. Out: a running relay. Never: a decision about mail.
"""

import asyncio
import errno
import random
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from qboxrelay import descriptors
from qboxrelay.dispatch.dispatcher import Dispatcher
from qboxrelay.dispatch.notice import Author
from qboxrelay.dispatch.notices import Notices
from qboxrelay.doors import Doors
from qboxrelay.gates import GateMaker, Gates, gates_differ
from qboxrelay.intake.admission import Intake
from qboxrelay.intake.decide import Rules
from qboxrelay.manager.service_manager import ServiceManager
from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import State
from qboxrelay.policy.accounts import AccountRules
from qboxrelay.policy.rewrite import parse_address
from qboxrelay.qboxmail.token import TokenSource
from qboxrelay.reload import Configuration, Reloaded, Reloads
from qboxrelay.settings.changes import changed_sections, taken_over
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.user_secrets import NO_USERS, UserSecrets
from qboxrelay.smtp.listener import SmtpListener
from qboxrelay.spool.backend import open_queue, open_spool
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.spool.port import Spool, SpoolError
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
from qboxrelay.telemetry.metrics import IntakeMetrics, build_info
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics, NoticeMetrics
from qboxrelay.telemetry.metrics_health import HealthMetrics
from qboxrelay.telemetry.metrics_loop import LoopLag
from qboxrelay.telemetry.metrics_spool import DepthCollector, PauseMetrics, SpoolMetrics
from qboxrelay.telemetry.tracing import OFF, Tracing, open_tracing
from qboxrelay.upkeep import Upkeep
from qboxrelay.vitals import Vitals

log = structlog.get_logger()

_RETIRED_AFTER = timedelta(minutes=2)
_HTTP_GRACE = timedelta(seconds=2)
_TRACING_GRACE = timedelta(seconds=3)
_HORIZON_MARGIN = 4
"""A stored time further off than this many times the longest wait was written by a clock that was wrong."""


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
        self._doors: Doors
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
        self.spool = await self._open_spool()
        self._pauses = OperatorPauses(
            self.spool, [account.name for account in settings.accounts], PauseMetrics(self.registry)
        )
        try:
            self._gates = self._gate_maker.make(settings, self._management_token, self.spool)
            self._gate_maker.use(self._gates)
        except BaseException:
            await self.spool.close()
            raise
        self._intake = Intake(
            spool=self.spool,
            rules=Rules(settings),
            metrics=IntakeMetrics(self.registry, self._clock.monotonic),
            sender_domains=self._gates.sender_domains,
            confirmations=self._confirmations,
            suppressions=self._gates.suppressions,
            tracing=self._tracing,
        )
        self._doors = Doors(registry=self.registry, clock=self._clock, admission=self._intake, settings=settings)
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
                notices=self._open_notices(),
                tracing=self._tracing,
            )
            await self._gates.start()
            if self._end.asked:
                return
            await self._open_http()
            await self._doors.adopt(self._doors.plan(settings, self._users, self._manager.sockets))
            self._manager.sockets.close()
        except BaseException:
            await self._doors.close(timedelta())
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
            sessions=lambda: self._doors.sessions,
        )
        upkeep = Upkeep(spool=self.spool, clock=self._clock)
        async with asyncio.TaskGroup() as group:
            dispatching = group.create_task(self._dispatcher.run(), name="dispatcher")
            routines = [
                group.create_task(upkeep.prune(), name="prune"),
                group.create_task(LoopLag(self.registry, self._clock).run(), name="loop-lag"),
                group.create_task(self._doors.run(), name="certificate"),
                group.create_task(upkeep.follow(self._pauses.refresh), name="operators"),
                group.create_task(descriptors.watch(self._clock), name="descriptors"),
                group.create_task(self._stop_when_damaged(), name="damage"),
                group.create_task(self._manager.watch(vitals.pulses(), self._clock), name="watchdog"),
                group.create_task(self._manager.tell(vitals.figures, self._clock), name="status-line"),
            ]
            self._group, self._routines = group, {routine.get_name(): routine for routine in routines}
            self._routine(self._gates.run(), "sender-domains")
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
    def listeners(self) -> list[SmtpListener]:
        """The doors that are open."""
        return self._doors.listeners

    async def reload(self, wanted: Configuration) -> Reloaded:
        """Take over of another configuration what can be while the relay runs; sessions go on. Raises OSError for a file or an address that
        cannot be used; then nothing has changed.
        """
        settings, waiting = taken_over(self._settings, wanted.settings)
        plan = self._doors.plan(settings, wanted.users, self._manager.sockets)
        try:
            parts, gates = self._dispatcher.prepare(settings.accounts, wanted.tokens), self._gates
            if gates_differ(self._settings, settings):
                gates = self._gate_maker.make(settings, wanted.management_token, self.spool)
                await gates.start()
        except BaseException:
            plan.discard()
            raise
        if self._end.asked:
            plan.discard()
            raise OSError(errno.ESHUTDOWN, "the relay is stopping")
        before, self._settings = self._settings, settings
        users = {user.name for user in settings.users}
        self._removed_users = (self._removed_users | {user.name for user in before.users}) - users
        self._dispatcher.adopt(parts)
        self._intake.adopt(Rules(settings, removed_users=self._removed_users), gates.sender_domains, gates.suppressions)
        self._use(gates)
        if self._pages is not None:
            self._pages.adopt(settings, gates.domains)
        await self._doors.adopt(plan)
        change_level(settings.log)
        return Reloaded(changed_sections(before, settings), waiting)

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
        await self._end.grant(0.5, self._doors.close)
        await self._end.grant(1.0, self._dispatcher.drain)

    async def _close(self) -> None:
        self._intake.close()
        self._doors.end()
        if self.http is not None:
            await self.http.stop(self._end.closing(_HTTP_GRACE))
        await self._gates.close()
        await self._tracing.close(self._end.closing(_TRACING_GRACE))
        await self.spool.close()

    async def _open_spool(self) -> Spool:
        settings = self._settings
        limits = settings.spool
        metrics = SpoolMetrics(self.registry, max_messages=limits.max_messages, max_bytes=int(limits.max_bytes))
        longest = max(*settings.delivery.retry_schedule, settings.delivery.max_retry_after)
        return await open_spool(
            settings,
            clock=self._clock,
            expired_into=State.HELD if settings.delivery.unknown_outcome == "hold" else State.QUEUED,
            horizon=longest * _HORIZON_MARGIN,
            on_commit=metrics.committed,
        )

    def _open_notices(self) -> Notices | None:
        settings = self._settings
        if settings.notices.to == "off":
            return None
        accounts, sender = AccountRules(settings.accounts), parse_address(settings.notices.from_address)
        author = Author(
            settings=settings.notices,
            hostname=settings.relay.name or socket.gethostname(),
            account=accounts.choose(settings.notices.account or None, sender).name,
            max_age=settings.delivery.max_age,
        )
        return Notices(spool=self.spool, author=author, clock=self._clock, metrics=NoticeMetrics(self.registry))

    async def _open_http(self) -> None:
        address = self._settings.status.address
        if address is None:
            return
        figures = SpoolFigures(self.spool, [account.name for account in self._settings.accounts], self._clock)
        self.registry.register(DepthCollector(figures.latest))
        health = Health(
            probes={"spool": self._spool_probe},
            detail=lambda: {
                "accounts": self._dispatcher.status(),
                "pauses": self._pauses.shown(),
                "sender_domains": self._gates.status(),
            },
            stage=self._stage,
            found=HealthMetrics(self.registry).found,
            clock=self._clock,
        )
        self._history = History(
            registry=self.registry, refresh=figures.refresh, figures=figures.latest, clock=self._clock
        )
        self._pages = site = self._site(self._history, health)
        app = create_app(registry=self.registry, refresh=figures.refresh, health=health, site=site)
        self.http = HttpServer(app, address)
        await self.http.start(self._manager.sockets.take("status", address))

    def _site(self, history: History, health: Health) -> Site:
        settings = self._settings
        name = settings.relay.name or socket.gethostname()
        return Site(
            name=name,
            version=version("qboxrelay"),
            settings=settings,
            queue=open_queue(settings, clock=self._clock),
            history=history,
            health=health,
            conditions=self._dispatcher.status,
            domains=self._gates.domains,
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

    async def _spool_probe(self) -> str | None:
        try:
            await self.spool.check_writable()
        except SpoolError as error:
            return str(error)
        return None
