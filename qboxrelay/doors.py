"""All SMTP doors of a relay, as one configuration has them, and as the next one will.

In: settings, users, who takes the mail. Out: listeners. Never: a session that ends because the configuration changed, a door that is shut
before its successor is known to open.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry

from qboxrelay import descriptors
from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.model.clock import Clock, until_next
from qboxrelay.model.telling import Tell, nobody
from qboxrelay.policy.login.logins import Logins
from qboxrelay.settings.schema import ListenerSettings, Settings
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.smtp.door import Admission
from qboxrelay.smtp.handed import Handed, HandedListener, Left
from qboxrelay.smtp.limits import Memory
from qboxrelay.smtp.listener import House, SmtpListener, bind
from qboxrelay.smtp.tls import Certificate
from qboxrelay.smtp.wirelog import FILE_NAME, WireLog
from qboxrelay.telemetry.metrics_auth import AuthMetrics
from qboxrelay.telemetry.metrics_health import CertificateCollector
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics

_CERTIFICATE_EVERY, _WITHOUT_ONE = timedelta(seconds=10), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Users:
    """Who may log in, and what that was made of."""

    settings: Settings
    secrets: Mapping[str, UserSecrets]
    logins: Logins


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Doors that can open: everything that may fail is done. `adopt` or `discard` it."""

    settings: Settings
    doors: Sequence[ListenerSettings]
    sockets: Mapping[str, socket.socket]
    """By listener, for those that do not go on with the one they have."""
    house: House
    certificate: Certificate | None
    users: _Users | None

    def discard(self) -> None:
        for opened in self.sockets.values():
            opened.close()


class Doors:
    """`plan` and `adopt` for the start and for each reload; `run` renews the certificate; `close` at the end."""

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        clock: Clock,
        admission: Admission,
        settings: Settings,
        memory: Memory | None = None,
        left: Left | None = None,
        tell: Tell = nobody,
    ) -> None:
        """In a worker another process accepts: `left` hears of each connection that is over, `memory` is shared, and `tell` says what counts
        for the doors of all processes.
        """
        self._registry = registry
        self._clock = clock
        self._admission = admission
        self._metrics = SmtpMetrics(registry, clock.monotonic)
        self._auth_metrics: AuthMetrics | None = None
        self._memory = memory or Memory(int(settings.relay.max_receiving_bytes))
        self._left = left
        self._tell = tell
        self._wire = WireLog(settings.relay.data_dir / FILE_NAME, clock)
        self._plan: Plan | None = None
        self._retired: list[SmtpListener] = []
        self.listeners: list[SmtpListener] = []
        registry.register(CertificateCollector(self._certificate_ends_at))

    @property
    def sessions(self) -> int:
        """How many are open, those of doors that are gone included."""
        return sum(listener.sessions for listener in (*self.listeners, *self._retired))

    def _certificate_ends_at(self) -> datetime | None:
        plan = self._plan
        return plan.certificate.ends_at if plan is not None and plan.certificate is not None else None

    def plan(self, settings: Settings, secrets: Mapping[str, UserSecrets], inherited: InheritedSockets) -> Plan:
        """Raises OSError for a certificate or an address that cannot be used; then nothing has changed."""
        certificate, users = self._certificate(settings), self._users(settings, secrets)
        house = House(
            hostname=settings.relay.name or socket.gethostname(),
            admission=self._admission,
            clock=self._clock,
            metrics=self._metrics,
            memory=self._memory,
            wire=self._wire,
            certificate=certificate,
            logins=users.logins if users is not None else None,
            tell=self._tell,
        )
        if certificate is not None:
            for door in settings.listeners:
                certificate.context(door.compatibility)
        sockets: dict[str, socket.socket] = {}
        with contextlib.ExitStack() as unless_all_open:
            for door in settings.listeners:
                if self._same(door) is None and self._left is None:
                    sockets[door.name] = unless_all_open.enter_context(self._socket(door, inherited))
            unless_all_open.pop_all()
        return Plan(
            settings=settings, doors=self._shares(settings), sockets=sockets, house=house, certificate=certificate, users=users
        )  # fmt: skip

    async def adopt(self, plan: Plan) -> None:
        """Open what is new, change what stays, and let what is gone take no more connections; its sessions go on."""
        gone = {listener.name: listener for listener in self.listeners}
        listeners = []
        for door in plan.doors:
            listener = self._same(door)
            if listener is None:
                listener = self._new(door, plan.house)
                await listener.start(plan.sockets.get(door.name))
            else:
                del gone[door.name]
                await listener.adopt(door, plan.house)
            listeners.append(listener)
        for listener in gone.values():
            listener.retire()
        self._retired = [listener for listener in (*self._retired, *gone.values()) if listener.sessions]
        self._memory.limit = int(plan.settings.relay.max_receiving_bytes)
        self.listeners, self._plan = listeners, plan

    async def run(self) -> None:
        """Notice changed certificate files, until cancelled."""
        while True:
            certificate = self._plan.certificate if self._plan is not None else None
            if certificate is None:
                await self._clock.sleep(until_next(self._clock, _WITHOUT_ONE))
            else:
                await asyncio.to_thread(certificate.refresh)
                await self._clock.sleep(_CERTIFICATE_EVERY)

    async def close(self, grace: timedelta) -> None:
        """Accept no more; sessions with a mail under way have `grace` to finish it."""
        every = (*self.listeners, *self._retired)
        for listener in every:
            await listener.close()
        async with asyncio.TaskGroup() as group:
            for listener in every:
                group.create_task(listener.wait_idle(grace))

    def end(self) -> None:
        """End the threads that check passwords."""
        if self._plan is not None and self._plan.users is not None:
            self._plan.users.logins.close()

    def elsewhere(self, *words: str) -> None:
        """What another process told by `tell`."""
        kind, what, where, who = words
        if kind == "login" and self._plan is not None and self._plan.users is not None:
            self._plan.users.logins.elsewhere(what, where, who)
        for listener in self.listeners if kind == "door" else ():
            if listener.name == where:
                listener.elsewhere(what, who)

    def welcome(self, connection: socket.socket, handed: Handed) -> None:
        """A connection that another process accepted."""
        for listener in self.listeners:
            if listener.name == handed.listener and isinstance(listener, HandedListener):
                listener.welcome(connection, handed)
                return
        connection.close()
        if self._left is not None:
            self._left(handed)

    def _new(self, door: ListenerSettings, house: House) -> SmtpListener:
        if self._left is None:
            return SmtpListener(settings=door, house=house)
        return HandedListener(settings=door, house=house, left=self._left)

    def _same(self, door: ListenerSettings) -> SmtpListener | None:
        """The listener that this one continues."""
        found = (one for one in self.listeners if one.name == door.name and one.wanted == door.address)
        return next(found, None)

    def _socket(self, door: ListenerSettings, inherited: InheritedSockets) -> socket.socket:
        other = next((one for one in self.listeners if one.wanted == door.address and door.address.port), None)
        if other is not None:
            # Only the name is another: connections that wait go with the socket.
            return other.lend()
        return inherited.take(door.name, door.address) or bind(door)

    def _shares(self, settings: Settings) -> list[ListenerSettings]:
        requests = sum(account.max_requests_in_flight for account in settings.accounts)
        wanted = [door.max_connections for door in settings.listeners]
        # Open sessions are among the descriptors in use, and among the connections that are wanted.
        shares = descriptors.shared_out(wanted, others=requests - self.sessions)
        return [
            door.model_copy(update={"max_connections": share})
            for door, share in zip(settings.listeners, shares, strict=True)
        ]

    def _certificate(self, settings: Settings) -> Certificate | None:
        before = self._plan
        if settings.tls.certificate_file is None:
            return None
        if before is not None and before.certificate is not None and before.settings.tls == settings.tls:
            before.certificate.refresh()
            return before.certificate
        return Certificate(settings.tls.certificate_file, settings.tls.key_file)

    def _users(self, settings: Settings, secrets: Mapping[str, UserSecrets]) -> _Users | None:
        if not settings.users:
            return None
        before = self._plan.users if self._plan is not None else None
        throttle = None
        if before is not None and before.settings.logins == settings.logins:
            if before.settings.users == settings.users and before.secrets == secrets:
                return before
            # Who guessed before the reload is still slow after it.
            throttle = before.logins.throttle
        if self._auth_metrics is None:
            self._auth_metrics = AuthMetrics(self._registry)
        logins = Logins(
            settings=settings,
            secrets=secrets,
            clock=self._clock,
            metrics=self._auth_metrics,
            throttle=throttle,
            tell=self._tell,
        )
        return _Users(settings, secrets, logins)
