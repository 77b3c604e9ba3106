"""The relay and the sandbox as real processes, as a user runs them.

In: a directory and settings as TOML. Out: handles to start, kill, stop and ask. Never: anything of the relay's own code: tests
look at it from outside.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

HOST = "127.0.0.1"
START_SECONDS = 60.0
_END_SECONDS = 60

_NO_KEPT_CONNECTIONS = httpx.Limits(max_keepalive_connections=0)
"""A kept connection may be closed by the other side just as the next request goes out."""


def _ports() -> Iterator[int]:
    """Every port of a range of this worker's own, over and over. It lies outside of those that the system gives to outgoing connections, where
    there is room, so that a relay that starts again finds its ports free.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _first_port() + worker % _RANGES * _PORTS_EACH
    start = random.SystemRandom().randrange(_PORTS_EACH)
    while True:
        yield from (first + (start + number) % _PORTS_EACH for number in range(_PORTS_EACH))


def _first_port() -> int:
    """Below the system's own range, or above it."""
    with contextlib.suppress(OSError):
        lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        if lowest < _LOWEST_PORT + _RANGES * _PORTS_EACH and highest + 1 + _RANGES * _PORTS_EACH <= 65_536:
            return highest + 1
    return _LOWEST_PORT


_LOWEST_PORT, _RANGES, _PORTS_EACH = 10_000, 10, 2_200
_candidates = _ports()


def free_port() -> int:
    """A port that nobody uses at this moment, and that nobody else is given for a long time."""
    for port in _candidates:
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise AssertionError("unreachable: the ports never end")


def wait_until(condition: Any, *, seconds: float = 60.0, what: str = "the condition") -> Any:
    """Poll until the condition is true and return its value; a test's patience, never a measurement."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} seconds")
        time.sleep(0.05)


class Sandbox:
    """`qboxrelay sandbox` in a process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._http = httpx.Client(base_url=self.url, timeout=60, trust_env=False, limits=_NO_KEPT_CONNECTIONS)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "qboxrelay", "sandbox", "--port", str(self.port)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the sandbox did not start"

    def messages(self, **query: str | int) -> list[dict[str, Any]]:
        """Everything accepted, oldest first."""
        found: list[dict[str, Any]] = self._http.get("/sandbox/messages", params={"limit": 100_000, **query}).json()
        return found

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get("/sandbox/requests", params={"limit": 100_000}).json()
        return found

    def faults(self, *rules: dict[str, Any]) -> None:
        """Replace the fault rules."""
        self._http.delete("/sandbox/faults").raise_for_status()
        if rules:
            self._http.post("/sandbox/faults", json=list(rules)).raise_for_status()

    def forget(self) -> None:
        """Everything accepted so far."""
        self._http.delete("/sandbox/messages").raise_for_status()

    def switch(self, **switches: Any) -> None:
        self._http.put("/sandbox/switches", json=switches).raise_for_status()

    def close(self) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait(_END_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Relay:
    """`qboxrelay run` in a process, with a configuration file in a directory of its own."""

    def __init__(
        self,
        directory: Path,
        base_url: str,
        *,
        name: str = "relay.example",
        extra: str = "",
        listener: str = "",
        account: str = "",
        relay: str = "",
        status: str = "",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.smtp_port, self.http_port = free_port(), free_port()
        self.config = directory / "qboxrelay.toml"
        token = directory / "token"
        token.write_text("sandbox-send-token\n")
        token.chmod(0o600)
        self.config.write_text(
            f"""
[relay]
name = "{name}"
data_dir = "{directory / "data"}"
{relay}

[[listeners]]
address = "{HOST}:{self.smtp_port}"
{listener}

[[accounts]]
base_url = "{base_url}/v1"
token_file = "{token}"
{account}

[status]
address = "{HOST}:{self.http_port}"
{status}

[log]
format = "json"

{extra}
"""
        )
        self.log = directory / "log.jsonl"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(
            base_url=f"http://{HOST}:{self.http_port}", timeout=30, trust_env=False, limits=_NO_KEPT_CONNECTIONS
        )

    def start(
        self,
        *,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> "Relay":
        """Start, behind the words of another command, and wait until it is ready to accept."""
        self.begin(prefix=prefix, environment=environment, pass_fds=pass_fds)
        wait_until(self.ready, seconds=START_SECONDS, what=f"the relay is ready (log: {self.log})")
        return self

    def begin(
        self,
        *,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start without waiting: it may end before it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "qboxrelay", "run", "--config", str(self.config)],
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
                pass_fds=pass_fds,
            )

    def died(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the relay ended: {self.log.read_text()[-2000:]}"
        return self.answers(200)

    def answers(self, status: int | None = None) -> bool:
        """Whether the relay says of itself that it is ready, or not (503), or anything at all."""
        try:
            found = self._http.get("/readyz").status_code
        except httpx.TransportError:
            return False
        return status is None or found == status

    def metric(self, name: str) -> float:
        """The value of one series, by its name and labels as /metrics prints them."""
        for line in self._http.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def waiting(self) -> int:
        """Submissions that are queued or sending. Both from one scrape: between two of them mail goes from one state to the other."""
        names = tuple(
            f'qboxrelay_spool_messages{{account="default",state="{state}"}} ' for state in ("queued", "sending")
        )
        lines = self._http.get("/metrics").text.splitlines()
        return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(names)))

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        lines = self.log.read_text().splitlines(keepends=True)
        # The last line may still be written.
        found = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n"))
        return [line for line in found if line.get("event") == name]

    def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Log lines of one event, once there are so many: what a relay has done is in its log a moment later."""
        found: list[dict[str, Any]] = wait_until(
            lambda: lines if len(lines := self.events(name)) >= count else [],
            what=f"{count} of {name} (log: {self.log})",
        )
        return found

    def wait_for_metric(self, name: str, value: float) -> None:
        """Until a series has a value: what is recorded is counted a moment later."""
        wait_until(lambda: self.metric(name) == value, what=f"{name} is {value:g}")

    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, also to what a command before it (strace, prlimit) has started."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_END_SECONDS)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit status of a relay that was told to stop."""
        assert self._process is not None
        return self._process.wait(_END_SECONDS)

    def close(self) -> None:
        self._http.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    emulator = Sandbox()
    try:
        yield emulator
    finally:
        emulator.close()


@contextmanager
def relay(directory: Path, base_url: str, **settings: str) -> Iterator[Relay]:
    """A started relay, killed at the end if the test did not stop it."""
    process = Relay(directory, base_url, **settings)
    try:
        yield process.start()
    finally:
        process.close()
