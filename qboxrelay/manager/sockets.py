"""Listening sockets that the service manager opened, by the protocol of sd_listen_fds(3): it holds them while the relay restarts, so that
connections wait instead of being refused.

In: LISTEN_FDS and its like. Out: the socket for a listener, by its name or its address. Never: a socket given twice, or one that is left
open where nobody would answer.
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable, MutableMapping

import structlog

from qboxrelay.settings.types import SocketAddress

log = structlog.get_logger()

_FIRST = 3
"""SD_LISTEN_FDS_START."""


class InheritedSockets:
    """What was handed over and not taken yet."""

    def __init__(self, sockets: Iterable[tuple[str, socket.socket]] = ()) -> None:
        """Each with the name that it came with."""
        self._sockets = list(sockets)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "InheritedSockets":
        """Takes its variables out, so that no child process takes the sockets for its own."""
        process, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
        names = environ.pop("LISTEN_FDNAMES", "").split(":")
        if process != str(os.getpid()) or not count.isdecimal():
            return cls()
        names += [""] * int(count)
        return cls(
            (names[index], found)
            for index in range(int(count))
            if (found := _listening(_FIRST + index, names[index])) is not None
        )

    def take(self, name: str, address: SocketAddress) -> socket.socket | None:
        """The socket with this address, else one that is called so; None when there is none."""
        chosen = next((one for one in self._sockets if _has(one[1], address)), None)
        chosen = chosen or next((one for one in self._sockets if one[0] == name), None)
        if chosen is None:
            return None
        self._sockets.remove(chosen)
        return chosen[1]

    def close(self) -> None:
        """Close what nobody took, and say so: clients that connect there would wait for ever."""
        for name, left in self._sockets:
            log.warning(
                "socket.not_used",
                name=name,
                address=_shown(left),
                hint="no listener has its name or address: see FileDescriptorName= and ListenStream= of the socket unit",
            )
            left.close()
        self._sockets.clear()


def _listening(descriptor: int, name: str) -> socket.socket | None:
    """A listening TCP socket; anything else is said and left alone."""
    with contextlib.suppress(OSError):
        os.set_inheritable(descriptor, False)
        found = socket.socket(fileno=descriptor)
        if found.family in {socket.AF_INET, socket.AF_INET6} and found.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            return found
        found.detach()
    log.warning("socket.not_usable", descriptor=descriptor, name=name, hint="hand over TCP sockets with Accept=no")
    return None


def _has(listening: socket.socket, address: SocketAddress) -> bool:
    host, port = listening.getsockname()[:2]
    with contextlib.suppress(ValueError):
        return int(port) == address.port and ipaddress.ip_address(host) == ipaddress.ip_address(address.host)
    return False


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return str(SocketAddress(host, port))
