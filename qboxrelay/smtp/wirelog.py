"""The dialogue of single clients in the log, switched on while the relay runs, to find out what a device does.

In: the lines of sessions; the file that `qboxrelay wirelog` writes, with a network and a time on each line. Out: log lines.
Never: what is secret or the mail's content: AUTH exchanges and DATA are left out by those who call this.
"""

import contextlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.policy.networks import IPNetwork, Networks
from qboxrelay.settings.types import parse_network

log = structlog.get_logger()

FILE_NAME = "wirelog"
_LINE_CHARACTERS = 500


class WireLog:
    """Says which clients are watched. The file is looked at for each new connection, and read when it has changed."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._seen: tuple[int, int] | None = None
        self._watched: list[tuple[Networks, datetime]] = []

    def watching(self, client: str) -> str | None:
        """The name under which a new connection of this client is logged; None when it is not watched."""
        if self._path is None:
            return None
        self._look()
        now = self._clock.now()
        return client if any(client in networks and now < until for networks, until in self._watched) else None

    def client(self, name: str, line: bytes) -> None:
        """A line that the client sent."""
        log.info("wire.client", client=name, line=_shown(line.decode("utf-8", "backslashreplace")))

    def server(self, name: str, text: str) -> None:
        """What the relay replied."""
        log.info("wire.server", client=name, line=_shown(text))

    def _look(self) -> None:
        try:
            status = self._path.stat() if self._path is not None else None
        except OSError:
            status = None
        seen = (status.st_mtime_ns, status.st_size) if status is not None else None
        if seen != self._seen:
            self._seen = seen
            found = read(self._path) if seen is not None and self._path is not None else []
            self._watched = [(Networks([network]), until) for network, until in found]


def read(path: Path) -> list[tuple[IPNetwork, datetime]]:
    """Who is watched until when, as the file says; lines that say nothing are left out."""
    watched = []
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in path.read_text("utf-8").splitlines():
            network, _, until = line.partition(" ")
            with contextlib.suppress(ValueError):
                watched.append((parse_network(network), datetime.fromisoformat(until)))
    return watched


def write(path: Path, watched: Mapping[IPNetwork, datetime]) -> None:
    """Replace the file as a whole. Raises OSError."""
    new = path.with_suffix(".new")
    new.write_text("".join(f"{network} {until.isoformat()}\n" for network, until in watched.items()), "utf-8")
    new.replace(path)


def _shown(text: str) -> str:
    printable = "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
    return printable[:_LINE_CHARACTERS]
