"""Two PostgreSQL servers, one of which copies the other while it commits, and what a failover does to them.

In: nothing. Out: a primary, its standby, the URL that names both. Never: a commit on the primary that the standby has not: it is synchronous.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg

from tests.support.postgres import Cluster
from tests.support.processes import HOST, wait_until

_STREAMING = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')"


class Standby(Cluster):
    """A copy of another server, which it follows until it is promoted."""

    def __init__(self, primary: Cluster) -> None:
        self._primary = primary
        super().__init__()

    def make(self) -> None:
        copy_of(self._primary, self)


def copy_of(primary: Cluster, copy: Cluster) -> None:
    """The files of a server that follows another one; what it had is thrown away."""
    data = copy.folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    copy.run("pg_basebackup", "-d", primary.url(), "-D", str(data), "-R", "-X", "stream", "-c", "fast", "--no-sync")


class Pair:
    """A primary with a synchronous standby, until a failover."""

    def __init__(self) -> None:
        self.first = Cluster()
        self.second = Standby(self.first)
        # Set in its files, and only now: the copy does not wait for a server of its own.
        _synchronous(self.first)
        wait_until(self._copied, what="the standby follows, and commits wait for it")

    def url(self, database: str) -> str:
        """Of both, in this order, as an administrator writes it."""
        name = database.rpartition("/")[2]
        return f"postgresql://relay@{HOST}:{self.first.port},{HOST}:{self.second.port}/{name}?target_session_attrs=read-write"

    def kill_first(self) -> None:
        """All of its processes at once, as when its machine fails."""
        self.first.freeze()
        server = psutil.Process(self.first.pid)
        for process in (*server.children(recursive=True), server):
            os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs([server])

    def promote_second(self) -> None:
        self.second.run("pg_ctl", "-D", str(self.second.folder / "data"), "-w", "promote")

    def first_follows(self) -> None:
        """The old primary comes back, and copies the new one."""
        copy_of(self.second, self.first)
        self.first.start()

    def close(self) -> None:
        self.second.stop()
        self.first.stop()

    def _copied(self) -> bool:
        with psycopg.connect(self.first.url(), autocommit=True) as connection:
            return connection.execute(_STREAMING).fetchone() is not None


def _synchronous(server: Cluster) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def pair() -> Iterator[Pair]:
    servers = Pair()
    try:
        yield servers
    finally:
        servers.close()


def break_connections(server: Cluster) -> None:
    """Of everybody, at once."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
