"""What the service manager is told, by the protocol of sd_notify(3).

In: the environment. Out: datagrams to NOTIFY_SOCKET. Never: an exception, or a wait of more than a
second: who cannot be told is not told.
"""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from datetime import timedelta

_PATIENCE_SECONDS = 1.0
"""For a manager that has not read what it was told before."""
_MICROSECONDS = 1_000_000
_STATUS_CHARACTERS = 300


class Notifier:
    """Tells the manager. Without NOTIFY_SOCKET it tells nobody."""

    def __init__(self, address: str = "", watchdog: timedelta | None = None) -> None:
        """`address` as NOTIFY_SOCKET has it; `watchdog` is how long the manager lets the relay be silent, None for ever."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = watchdog

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "Notifier":
        """Takes its variables out, so that no child process speaks for the relay."""
        address = environ.pop("NOTIFY_SOCKET", "")
        return cls(address, _watchdog(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")))

    @property
    def heard(self) -> bool:
        """Whether anybody is told at all."""
        return bool(self._address)

    def ready(self) -> None:
        """Started, or done with a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. The time is what Type=notify-reload asks for."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, within: timedelta) -> None:
        """A stop begins; the manager waits so long for it, whatever its own limit is."""
        microseconds = int(within.total_seconds() * _MICROSECONDS)
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={microseconds}")

    def status(self, text: str) -> None:
        """One line for people: `systemctl status` shows it."""
        self._tell(f"STATUS={' '.join(text.split())[:_STATUS_CHARACTERS]}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.settimeout(_PATIENCE_SECONDS)
            sending.sendto("\n".join(lines).encode(), self._address)


def _watchdog(microseconds: str, process: str) -> timedelta | None:
    meant = not process or process == str(os.getpid())
    if not meant or not microseconds.isdecimal() or int(microseconds) <= 0:
        return None
    return timedelta(microseconds=int(microseconds))
