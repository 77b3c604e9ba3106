"""One SMTP listener in the daemon's own event loop.

In: settings. Out: sessions. Never: a thread, a blocking name look-up, or a session that nobody counts.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.model.reply import Reply
from qboxrelay.model.telling import Tell, nobody
from qboxrelay.policy.login.logins import Logins
from qboxrelay.policy.networks import Networks
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.settings.types import SocketAddress
from qboxrelay.smtp import replies
from qboxrelay.smtp.door import Admission, Door, Times
from qboxrelay.smtp.introduction import Introductions
from qboxrelay.smtp.limits import Memory, PerClient, PerMinute
from qboxrelay.smtp.proxy import Peer
from qboxrelay.smtp.session import Session
from qboxrelay.smtp.tls import Certificate
from qboxrelay.smtp.wirelog import WireLog
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics

log = structlog.get_logger()

_BACKLOG = 511
_ACCEPTING = ("tls", "proxy_protocol", "trusted_proxies", "max_connections", "command_timeout")
"""What a server was made with: when one of them changes, another takes its socket over."""
_PRIVILEGE = "CAP_NET_BIND_SERVICE, or a socket of the service manager (systemd/qboxrelay.socket)"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all listeners of a relay share."""

    hostname: str
    admission: Admission
    clock: Clock
    metrics: SmtpMetrics
    memory: Memory
    wire: WireLog
    certificate: Certificate | None = None
    logins: Logins | None = None
    tell: Tell = nobody
    """Hears of what counts for the same door in other processes."""


class SmtpListener:
    """Accepts connections from `start` to `close`; sessions in a mail finish within `wait_idle`."""

    def __init__(self, *, settings: ListenerSettings, house: House) -> None:
        self._settings = settings
        self._metrics = house.metrics
        self.name = settings.name
        self._messages = PerMinute(settings.max_messages_per_minute, house.clock, self._teller(house, "messages"))
        self._recipients = PerMinute(settings.max_recipients_per_minute, house.clock, self._teller(house, "recipients"))
        self._per_client = PerClient(settings.max_connections_per_client)
        self._door = self._door_of(settings, house)
        self._open: dict[Session, float] = {}
        """With when each began."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._listening: socket.socket
        self._server: asyncio.Server | None = None
        self._introductions: Introductions | None = None
        self.wanted = settings.address
        """As the settings say; `address` is what came of it."""
        self.address = settings.address

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._open)

    async def start(self, listening: socket.socket | None = None) -> None:
        """Listen, on a socket that is then this listener's to close where one is given. Raises OSError when the address cannot be used."""
        listening = listening or bind(self._settings)
        # Accepted sockets inherit it; without it a reply waits for the client's delayed ACK. asyncio sets it only where proto is TCP.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._metrics.listening(self.name)
        host, port = listening.getsockname()[:2]
        self.address = SocketAddress(host, port)
        self._warn_of_legacy()
        await self._accept(listening)

    def _warn_of_legacy(self) -> None:
        if self._settings.compatibility == "legacy" and self._door.tls is not None:
            log.warning(
                "tls.legacy", listener=self.name, hint="TLS 1.0 and old ciphers are let in: others can read along"
            )

    async def adopt(self, settings: ListenerSettings, house: House) -> None:
        """Go on with other settings. Sessions that are open keep what they began with, but count for the new limits."""
        before, tls = self._settings, self._door.tls
        self._settings, self._door = settings, self._door_of(settings, house)
        self._messages.limit = settings.max_messages_per_minute
        self._recipients.limit = settings.max_recipients_per_minute
        self._per_client.limit = settings.max_connections_per_client
        if tls is not self._door.tls or any(getattr(before, key) != getattr(settings, key) for key in _ACCEPTING):
            await self._accept_anew()

    async def _accept_anew(self) -> None:
        # Connections that wait go with the socket.
        listening = self.lend()
        self._accept_no_more()
        await self._accept(listening)

    def elsewhere(self, what: str, client: str) -> None:
        """The same door of another process counted one event of a client."""
        (self._messages if what == "messages" else self._recipients).elsewhere(client)

    def _teller(self, house: House, what: str) -> Callable[[str], None]:
        return lambda client: house.tell("door", what, self.name, client)

    def lend(self) -> socket.socket:
        """The same socket once more, for a listener that takes this one's place."""
        return self._listening.dup()

    def retire(self) -> None:
        """Accept no more; sessions go on."""
        self._accept_no_more()

    def _door_of(self, settings: ListenerSettings, house: House) -> Door:
        context = house.certificate.context(settings.compatibility) if house.certificate is not None else None
        return Door(
            settings=settings,
            times=Times.of(settings),
            hostname=house.hostname,
            greeting=Reply(220, "", f"{house.hostname} ESMTP"),
            admission=house.admission,
            clock=house.clock,
            metrics=house.metrics,
            sessions=self,
            memory=house.memory,
            messages=self._messages,
            recipients=self._recipients,
            allowed=Networks(settings.allow_networks),
            wire=house.wire,
            logins=house.logins,
            tls=context if settings.tls != "none" else None,
        )

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._listening = listening
        self._introductions = self._introducing(listening)
        if self._introductions is not None:
            return
        self._server = await loop.create_server(self._session, sock=listening, backlog=_BACKLOG)

    def _introducing(self, listening: socket.socket | None) -> Introductions | None:
        """For connections that do not begin with the greeting."""
        implicit = self._door.tls if self._settings.tls == "implicit" else None
        if not self._settings.proxy_protocol and implicit is None:
            return None
        return Introductions(
            listening,
            trusted=Networks(self._settings.trusted_proxies) if self._settings.proxy_protocol else None,
            factory=self._session,
            tls=implicit,
            handshake_seconds=self._settings.command_timeout.total_seconds(),
            failed=lambda: self._metrics.proxy_failed(self.name),
            tls_failed=lambda: self._metrics.tls_failed(self.name),
            limit=self._settings.max_connections,
        )

    def _session(self, peer: Peer | None = None) -> Session:
        return Session(self._door, asyncio.get_running_loop(), peer)

    def _accept_no_more(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._introductions is not None:
            self._introductions.retire()
            self._introductions = None

    async def close(self) -> None:
        """Accept no more; sessions without a mail under way are told 421."""
        self._closing = True
        if self._introductions is not None:
            await self._introductions.close()
        self._accept_no_more()
        for session in list(self._open):
            session.stop()

    async def wait_idle(self, grace: timedelta) -> None:
        """Wait for the last session; what is still open after `grace` is cut off, before any 250."""
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._idle.wait()
        except TimeoutError:
            log.warning("sessions.cut_off", listener=self.name, sessions=len(self._open))
            for session in list(self._open):
                session.abort()

    def opened(self, session: Session, client: str) -> Reply | None:
        """Count a new session; why there is no room for it, or None."""
        self._open[session] = self._metrics.opened(self.name)
        self._idle.clear()
        within = self._per_client.enter(client)
        if self._closing:
            return replies.STOPPING
        if len(self._open) > self._settings.max_connections:
            self._metrics.limited("max_connections")
            return replies.TOO_MANY_CONNECTIONS
        if not within:
            self._metrics.limited("max_connections_per_client")
            return replies.TOO_MANY_FROM_CLIENT
        return None

    def closed(self, session: Session, client: str) -> None:
        self._metrics.closed(self.name, self._open.pop(session))
        self._per_client.leave(client)
        if not self._open:
            self._idle.set()


def bind(settings: ListenerSettings) -> socket.socket:
    """A socket that listens where the settings say. Raises OSError with the listener's name."""
    wanted = settings.address
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    try:
        return socket.create_server((wanted.host, wanted.port), family=family, backlog=_BACKLOG)
    except PermissionError as error:
        text = (
            f"listener {settings.name}: cannot listen on {wanted}: {error.strerror}; ports below 1024 need {_PRIVILEGE}"
        )
        raise OSError(error.errno, text) from error
    except OSError as error:
        raise OSError(error.errno, f"listener {settings.name}: cannot listen on {wanted}: {error.strerror}") from error
