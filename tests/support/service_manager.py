"""A service manager as far as a test needs one: NOTIFY_SOCKET, and sockets that it holds for the relay.

In: nothing. Out: what a process told it; how to start one that inherits sockets. Never: the relay's own code.
"""

import os
import socket
from collections.abc import Sequence

from tests.support.processes import wait_until


class NotifySocket:
    """What systemd listens to. `environ` goes to the process."""

    def __init__(self, *, watchdog_seconds: float = 0) -> None:
        # An abstract name: a path in a socket's address holds 107 bytes, and pytest's folders are deep.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"\0qboxrelay-test-{os.getpid()}-{id(self)}"
        self._socket.bind(name)
        self._socket.setblocking(False)
        self._told: list[str] = []
        self.environ = {"NOTIFY_SOCKET": f"@{name[1:]}"}
        if watchdog_seconds:
            self.environ["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1_000_000))

    def told(self) -> list[str]:
        """Every line so far."""
        while True:
            try:
                self._told += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self._told

    def count(self, line: str) -> int:
        return self.told().count(line)

    def wait_for(self, start: str, *, times: int = 1) -> str:
        """The line that begins so, once it has come so many times."""

        def found() -> list[str]:
            lines = [line for line in self.told() if line.startswith(start)]
            return lines if len(lines) >= times else []

        return str(wait_until(found, seconds=60, what=f"{start} (told: {self._told[-20:]})")[-1])

    def close(self) -> None:
        self._socket.close()


def handing_over(*descriptors: int, names: Sequence[str] = ()) -> list[str]:
    """Words before a command that gives it these descriptors as sd_listen_fds(3) says; pass them on to the shell with `pass_fds`."""
    # From high numbers to 3 and following, none of which may be overwritten before it was moved.
    moves = "".join(f" {3 + index}<&{number}" for index, number in enumerate(descriptors))
    script = f"LISTEN_PID=$$ LISTEN_FDS={len(descriptors)} LISTEN_FDNAMES={':'.join(names)}; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES"
    return ["bash", "-c", f'{script}; exec "$@"{moves}', "bash"]
