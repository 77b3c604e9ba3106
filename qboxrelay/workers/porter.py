"""Accepts connections for all workers, and hands each to the one that has the fewest: kept connections are many mails each, and the kernel would
give most of them to whoever wakes first.

In: listening sockets, workers that are ready. Out: connections in the hands of workers. Never: a connection accepted that no worker can have: it
waits in the kernel until one can.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.settings.schema import ListenerSettings, Settings
from qboxrelay.settings.types import SocketAddress
from qboxrelay.smtp.handed import Handed
from qboxrelay.smtp.listener import bind
from qboxrelay.workers.counts import Counts

log = structlog.get_logger()

_AT_ONCE = 16
"""Connections that are accepted before others have their turn."""
_PAUSE_SECONDS = 1.0
"""After accept failed for want of file descriptors."""

Hand = Callable[[int, socket.socket, Handed], bool]
"""Give a connection to a worker; False when it cannot take one now."""


@dataclass(slots=True, eq=False)
class Door:
    """A listener that is open."""

    settings: ListenerSettings
    listening: socket.socket
    address: SocketAddress = field(init=False)

    def __post_init__(self) -> None:
        host, port = self.listening.getsockname()[:2]
        self.address = SocketAddress(host, port)

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def port(self) -> int:
        return self.address.port

    def continues(self, wanted: ListenerSettings) -> bool:
        """Whether the socket can go on with these settings."""
        return self.settings.address == wanted.address and (self.name == wanted.name or bool(wanted.address.port))


Sockets = Mapping[str, socket.socket]
"""By listener, for those that do not go on with the one they have."""


class Porter:
    """`plan` and `adopt`, then `open` as soon as a worker is ready, `hold` when none is; `close` at the end."""

    def __init__(self, *, counts: Counts, hand: Hand) -> None:
        self._counts = counts
        self._hand = hand
        self._workers: frozenset[int] = frozenset()
        self._accepting = False
        self._pause: asyncio.TimerHandle | None = None
        self.doors: list[Door] = []

    def plan(self, settings: Settings, inherited: InheritedSockets) -> Sockets:
        """Sockets that are not open yet. Raises OSError for an address that cannot be used; then none is."""
        sockets: dict[str, socket.socket] = {}
        with contextlib.ExitStack() as unless_all_open:
            for wanted in settings.listeners:
                if not any(door.continues(wanted) for door in self.doors):
                    sockets[wanted.name] = opened = inherited.take(wanted.name, wanted.address) or bind(wanted)
                    unless_all_open.enter_context(opened)
                    opened.setblocking(False)
                    # Accepted sockets inherit it; without it a reply waits for the client's delayed ACK.
                    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            unless_all_open.pop_all()
        return sockets

    def adopt(self, settings: Settings, sockets: Sockets) -> None:
        """Open what is new, go on with what stays, close what is gone; its sessions go on."""
        self._hold()
        before, self.doors = self.doors, []
        for wanted in settings.listeners:
            same = next((door for door in before if door.continues(wanted)), None)
            if same is not None:
                before.remove(same)
            self.doors.append(Door(wanted, same.listening if same is not None else sockets[wanted.name]))
        for door in before:
            door.listening.close()
        self._resume()

    def serve(self, workers: frozenset[int]) -> None:
        """Hand to these workers from now on."""
        self._workers = workers
        if not workers:
            self._hold()
        else:
            self._resume()

    def close(self) -> None:
        self._hold()
        self._workers = frozenset()
        for door in self.doors:
            door.listening.close()

    def _resume(self) -> None:
        if self._accepting or not self._workers:
            return
        self._accepting = True
        for door in self.doors:
            asyncio.get_running_loop().add_reader(door.listening.fileno(), self._accept, door)

    def _hold(self) -> None:
        """Connections wait in the kernel."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._accepting:
            self._accepting = False
            for door in self.doors:
                asyncio.get_running_loop().remove_reader(door.listening.fileno())

    def _wait_a_moment(self) -> None:
        self._hold()
        self._pause = asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._resume)

    def _accept(self, door: Door) -> None:
        for _ in range(_AT_ONCE):
            if not self._accepting:
                return
            try:
                connection, peer = door.listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("listener.cannot_accept", error=error.strerror)
                self._wait_a_moment()
                return
            with connection:
                self._give(door, connection, str(peer[0]))

    def _give(self, door: Door, connection: socket.socket, peer: str) -> None:
        # Behind a PROXY header the client is not known yet: each worker counts its own.
        client = "" if door.settings.proxy_protocol else peer
        handed = Handed(door.name, peer, client, self._counts.passes(door.settings, client))
        worker = self._counts.fewest(self._workers)
        if self._hand(worker, connection, handed) or any(
            self._hand(worker := other, connection, handed) for other in self._workers - {worker}
        ):
            self._counts.entered(worker, (door.name, client))
            return
        log.warning("workers.busy", text="no worker takes connections: this one is closed, the next ones wait")
        self._wait_a_moment()
