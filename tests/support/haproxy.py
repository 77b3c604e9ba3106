"""HAProxy as the README sets it up, before relays of a test.

In: the README's own haproxy.cfg, relays. Out: a running HAProxy and its port, what it thinks of each relay. Never: a file that differs from the
manual's in more than addresses, its socket, log, user and size.
"""

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import HOST, Relay, free_port, wait_until

README = Path(__file__).parents[2] / "README.md"
_END_SECONDS = 60
_DEBIAN = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"


def program() -> str | None:
    return shutil.which("haproxy", path=_DEBIAN)


needs_haproxy = pytest.mark.skipif(program() is None, reason="haproxy is not installed (Debian: apt install haproxy)")


def readme_file(name: str) -> str:
    """A whole file that the README shows, behind a comment that names it."""
    found = re.search(
        rf"^<!-- file: {re.escape(name)} -->\n```\w*\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"README.md shows no {name}"
    return found[1]


def adapted(text: str, *, port: int, admin: Path, relays: Sequence[Relay]) -> str:
    """With the addresses of this test. There are as many relays in the file as in the test."""
    found = iter(relays)

    def address(match: re.Match[str]) -> str:
        relay = next(found)
        return f"{match[1]}{HOST}:{relay.smtp_port} port {relay.http_port}"

    text = re.sub(r"^( *server \S+ )\S+$", address, text, flags=re.MULTILINE)
    assert next(found, None) is None, "the README's file has fewer relays"
    for pattern, value in (
        (r"^( *bind ).*$", rf"\g<1>{HOST}:{port}"),
        (r"^( *stats socket ).*$", rf"\g<1>{admin} mode 600 level admin"),
        (r"^( *log ).*$", r"\g<1>stdout format raw local0"),
        (r"^( *maxconn ).*$", r"\g<1>200"),
        (r"^ *(user|group|chroot) .*\n", ""),
    ):
        text = re.sub(pattern, value, text, flags=re.MULTILINE)
    return text


class HAProxy:
    """One, in a process. `port` is its door."""

    def __init__(self, directory: Path, relays: Sequence[Relay]) -> None:
        found = program()
        assert found is not None, "haproxy is not installed"
        self.port = free_port()
        # A short path: that of a Unix socket is limited.
        self._folder = Path(tempfile.mkdtemp(prefix="qbr-ha-"))
        self._admin = self._folder / "admin.sock"
        config = directory / "haproxy.cfg"
        config.write_text(adapted(readme_file("haproxy.cfg"), port=self.port, admin=self._admin, relays=relays))
        self.log = directory / "haproxy.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([found, "-db", "-f", str(config)], stdout=log, stderr=log)

    def command(self, text: str) -> str:
        """One line to its admin socket; what it answers."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(_END_SECONDS)
            admin.connect(str(self._admin))
            admin.sendall(text.encode() + b"\n")
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode()

    def states(self) -> dict[str, str]:
        """UP, DOWN, MAINT…, by the name of each server; nothing before it listens."""
        try:
            header, *rows = self.command("show stat").strip().splitlines()
        except OSError:
            assert self._process.poll() is None, self.log.read_text()
            return {}
        names = header.lstrip("# ").split(",")
        found = [dict(zip(names, row.split(","), strict=False)) for row in rows]
        return {row["svname"]: row["status"] for row in found if row["svname"] not in {"FRONTEND", "BACKEND"}}

    def wait_for(self, count: int) -> None:
        """Until so many relays are known to be up."""
        wait_until(
            lambda: sum(state.startswith("UP") for state in self.states().values()) >= count,
            what=f"HAProxy finds {count} relays (log: {self.log})",
        )

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(_END_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def haproxy(directory: Path, relays: Sequence[Relay]) -> Iterator[HAProxy]:
    process = HAProxy(directory, relays)
    try:
        yield process
    finally:
        process.close()
