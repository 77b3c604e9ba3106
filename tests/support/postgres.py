"""A PostgreSQL server of the tests' own: a cluster in a temporary folder, for the time of one test process.

In: the server's programs, of Debian's packages or in the PATH. Out: URLs of databases. Never: a server that somebody else uses.
"""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.support.processes import free_port, wait_until

_NAMES = count(1)
_QUICK = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}
_SECONDS = 120


def programs() -> Path | None:
    """Where initdb and pg_ctl are; the newest of several versions."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name.split(".")[0])
    )
    found = shutil.which("initdb")
    for folder in [*reversed(folders), *([Path(found).parent] if found else [])]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


def require_postgres() -> None:
    """Skip the test where there is no server to start."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")


class Cluster:
    """One server, on a Unix socket and a port of the loopback. `stop` ends it and removes its files."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        found = programs()
        assert found is not None, "PostgreSQL is not installed"
        self._programs = found
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        # A short path: that of a Unix socket is limited. Outside pytest's own folder, which other users may not enter.
        self.folder = Path(tempfile.mkdtemp(prefix="qbr-pg-"))
        if self._as_user:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.port = free_port()
        self._settings = _QUICK | (settings or {})
        self._guard = self._guarded()
        self.make()
        self.start()

    def make(self) -> None:
        """The files of a new server."""
        self.run(
            "initdb", "-D", str(self.folder / "data"), "-U", "relay", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"
        )  # fmt: skip

    def start(self) -> None:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "64MB",
            "max_connections": "200",
        } | self._settings
        arguments = " ".join(f"-c {name}={value}" for name, value in options.items())
        self.run(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "-o", arguments, "start"
        )

    def halt(self, mode: str = "fast") -> None:
        """Stop the server, and keep its data: `fast` ends connections, `immediate` is a crash."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def freeze(self) -> None:
        """Every process stands still, and connections stay open. The first process before the others are looked for: it makes new ones."""
        first = psutil.Process(self.pid)
        first.suspend()
        wait_until(lambda: first.status() == psutil.STATUS_STOPPED, what="the server's first process stands still")
        for process in first.children(recursive=True):
            process.suspend()

    def thaw(self) -> None:
        """The first process last: until then those that ended are there."""
        first = psutil.Process(self.pid)
        for process in (*first.children(recursive=True), first):
            process.resume()

    def stop(self) -> None:
        if self._guard.poll() is None:
            self._guard.communicate()

    def url(self, database: str = "postgres", *, user: str = "relay") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database, made for one test."""
        name = f"test_{next(_NAMES)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def _guarded(self) -> "subprocess.Popen[bytes]":
        """Ends the server when this process lets go of it, also by being killed: a pipe's end says so."""
        script = 'read _; "$@" >/dev/null 2>&1; rm -rf "$0"'
        stop = [
            *self._as_user,
            str(self._programs / "pg_ctl"),
            "-D",
            str(self.folder / "data"),
            "-w",
            "-m",
            "immediate",
            "stop",
        ]
        command = ["sh", "-c", script, str(self.folder), *stop]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/", start_new_session=True
        )

    def run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        # The server inherits what is open: a pipe would not end before it does.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", timeout=_SECONDS, check=False
            )
            output.seek(0)
            assert done.returncode == 0, output.read().decode(errors="replace")


@cache
def shared_cluster() -> Cluster:
    """The one of this test process; it ends with it."""
    cluster = Cluster()
    atexit.register(cluster.stop)
    return cluster


@cache
def shared_connection() -> "psycopg.Connection[Any]":
    """To look at what is stored; it ends with the test process."""
    connection = psycopg.connect(shared_cluster().url(), autocommit=True)
    atexit.register(connection.close)
    return connection


def unused_schema() -> str:
    """A name that no other test of this process has."""
    return f"spool_{os.getpid()}_{next(_NAMES)}"


def closed_port() -> int:
    """Nothing listens there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
