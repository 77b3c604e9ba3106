"""Two relays on one PostgreSQL against one, and PostgreSQL against SQLite under one relay:
`python -m tests.bench.cluster [--rounds N] [--cores 0.25]`. With `--cores` (as root) each relay may use so much of a core and no more, as on a small
machine of its own; else two relays share the machine that one has for itself.

In: Postfix's smtp-source, PostgreSQL's programs. Out: rows of a Markdown table: mails accepted and delivered a second, as ratios of runs of one
round. Never: figures of different rounds compared, or a database that answers before its disk has the mail.
"""

import argparse
import platform
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import psutil

from tests.bench.peers.relays import Running, http_sink
from tests.bench.peers.run import Load, Meter, say
from tests.support.postfix import sbin
from tests.support.postgres import Cluster, programs
from tests.support.processes import HOST, Relay, wait_until

SESSIONS = 40
LOADS = (
    Load("4 KB, kept connections", ("-d", "-l", "4096"), 6000),
    Load("4 KB, a connection each", ("-l", "4096"), 3000),
    Load("100 KB, kept connections", ("-d", "-l", "102400"), 800),
)
SAFE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_wal_size": "2GB"}
BASE = "PostgreSQL, one relay"
_SECONDS = 300.0
_CGROUPS, _PERIOD_US = Path("/sys/fs/cgroup"), 20_000


@dataclass(frozen=True)
class Setup:
    """What runs: how many relays, on which spool."""

    name: str
    relays: int
    postgres: bool


SETUPS = (
    Setup("SQLite, one relay", 1, postgres=False),
    Setup(BASE, 1, postgres=True),
    Setup("PostgreSQL, two relays", 2, postgres=True),
)


@dataclass(frozen=True)
class Figures:
    """Mails a second, and seconds of CPU for 1,000 of them: of the relays, and of the database."""

    accepted: float
    delivered: float
    cpu: float


class _Started:
    """Relays that run, and everything whose CPU counts."""

    def __init__(self, relays: Sequence[Relay], roots: Sequence[int]) -> None:
        self.ports = [relay.smtp_port for relay in relays]
        self._roots = [psutil.Process(pid) for pid in roots]

    def processes(self) -> list[psutil.Process]:
        return [one for root in self._roots for one in (root, *root.children(recursive=True))]


@contextmanager
def confined(pid: int, cores: float) -> Iterator[None]:
    """Whatever the process does, it has no more of the processors (cgroups, version 1 or 2)."""
    first = _CGROUPS / "cpu"
    root = first if first.is_dir() else _CGROUPS
    group = root / f"qboxrelay-bench-{pid}"
    group.mkdir()
    try:
        quota = round(cores * _PERIOD_US)
        if root is first:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
        (root / "cgroup.procs").write_text(str(pid))
    finally:
        group.rmdir()


@contextmanager
def started(setup: Setup, url: str, folder: Path, cores: float) -> Iterator[_Started]:
    with ExitStack() as stack:
        spool, roots = '[spool]\nmin_free_bytes = "100MB"', []
        if setup.postgres:
            server = Cluster(SAFE)
            stack.callback(server.stop)
            spool += f'\nurl = "{server.url()}"'
            roots.append(server.pid)
        relays = []
        for number in range(setup.relays):
            relay = Relay(folder / f"relay{number}", url, name=f"relay{number}.example", extra=spool)
            stack.callback(relay.close)
            relays.append(relay.start())
            if cores:
                stack.enter_context(confined(relay.pid(), cores))
        yield _Started(relays, [*roots, *(relay.pid() for relay in relays)])


def measure(setup: Setup, load: Load, cores: float = 0.0) -> Figures:
    """The same mails over as many sessions, spread over the relays."""
    source = sbin("smtp-source")
    assert source is not None, "smtp-source is not installed (Debian: postfix)"
    with (
        http_sink() as (url, delivered),
        tempfile.TemporaryDirectory() as folder,
        started(setup, url, Path(folder), cores) as running,
    ):
        meter, start = Meter(Running(running.ports[0], running.processes, delivered)), perf_counter()
        ports = running.ports
        loads = [
            subprocess.Popen(
                [source, *load.options, "-s", str(SESSIONS // len(ports)), "-m", str(load.mails // len(ports)),
                 "-f", "a@example.com", "-t", "b@example.net", f"inet:{HOST}:{port}"]
            )
            for port in ports
        ]  # fmt: skip
        for process in loads:
            assert process.wait(_SECONDS) == 0
        accepted = perf_counter() - start
        wait_until(lambda: delivered() >= load.mails, seconds=_SECONDS, what="all is delivered")
        seconds = perf_counter() - start
        return Figures(load.mails / accepted, load.mails / seconds, meter.end() / load.mails * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cores", type=float, default=0.0, help="so much of a core for each relay; 0: as much as there is"
    )
    arguments = parser.parse_args()
    rounds, cores = arguments.rounds, arguments.cores
    found: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    for number in range(rounds):
        for load in LOADS:
            for setup in SETUPS:
                figures = measure(setup, load, cores)
                found[load.name, setup.name].append(figures)
                say(f"round {number + 1}, {setup.name}, {load.name}: {figures}")
    report(found, rounds, cores)


def report(found: dict[tuple[str, str], list[Figures]], rounds: int, cores: float) -> None:
    machine = f"{psutil.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = f"{_postgres()}, psycopg {version('psycopg')}"
    share = f", each relay confined to {cores:g} of a core" if cores else ""
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}, fsync on{share}; medians of {rounds} round(s)\n")
    print("| load | spool | accepted/s | delivered/s | accepts | delivers | CPU s per 1,000 |")
    print("|---|---|---|---|---|---|---|")
    for load in LOADS:
        for setup in SETUPS:
            print(row(load.name, setup.name, found[load.name, setup.name], found[load.name, BASE]))


def row(load: str, name: str, runs: Sequence[Figures], base: Sequence[Figures]) -> str:
    """Ratios to one relay on PostgreSQL, each of the same round."""
    figures = [statistics.median(getattr(run, field) for run in runs) for field in ("accepted", "delivered", "cpu")]
    ratios = [
        statistics.median(getattr(run, field) / getattr(other, field) for run, other in zip(runs, base, strict=True))
        for field in ("accepted", "delivered")
    ]
    times = " | ".join(f"{ratio:.2f} times" if name != BASE else "" for ratio in ratios)
    return f"| {load} | {name} | {figures[0]:.0f} | {figures[1]:.0f} | {times} | {figures[2]:.2f} |"


def _postgres() -> str:
    folder = programs()
    assert folder is not None, "PostgreSQL is not installed"
    done = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip().replace("postgres (PostgreSQL)", "PostgreSQL").split(" (")[0]


if __name__ == "__main__":
    main()
