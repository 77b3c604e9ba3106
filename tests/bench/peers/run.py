"""The comparison: every relay under the same loads, round after round, and the table of medians.

In: the relays that can run here. Out: a Markdown table with the ratios of each run. Never: figures of different runs compared.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.bench.peers.relays import WITH_WORKERS, Running, available, slow_disk
from tests.support.postfix import sbin
from tests.support.processes import HOST, wait_until


@dataclass(frozen=True)
class Load:
    """One way to load a relay with smtp-source."""

    name: str
    options: tuple[str, ...]
    mails: int


LOADS = (
    Load("4 KB, kept connections", ("-d", "-s", "20", "-l", "4096"), 12000),
    Load("4 KB, a connection each", ("-s", "20", "-l", "4096"), 4000),
    Load("4 KB, 200 sessions", ("-d", "-s", "200", "-l", "4096"), 12000),
    Load("100 KB, kept connections", ("-d", "-s", "20", "-l", "102400"), 1000),
    Load("100 KB, a connection each", ("-s", "20", "-l", "102400"), 1000),
)
WARM_UP = 200
"""Mails that are not counted: processes start, statements are prepared, files grow."""
OURS = "qboxrelay"
SLOWEST = {"naive": 6}
"""What takes so many times as long gets as many fewer mails."""
SESSIONS = 20
PROBES = 4000
SECONDS = 300
"""After which a relay has failed."""


@dataclass(frozen=True)
class Figures:
    """Mails a second; seconds of CPU for 1,000 mails; bytes of memory at most."""

    accepted: float
    delivered: float
    cpu: float
    memory: float


class Meter:
    """CPU and peak memory of a relay's processes while it is under load; processes that come and go count as long as they are seen."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._cpu: dict[int, float] = {}
        self._start: dict[int, float] = {}
        self.memory = 0
        self._over = threading.Event()
        self._look(first=True)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> float:
        self._over.set()
        self._thread.join()
        self._look()
        return sum(self._cpu.values()) - sum(self._start.values())

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self._look()

    def _look(self, *, first: bool = False) -> None:
        resident = 0
        for process in self._running.processes():
            try:
                times, memory = process.cpu_times(), process.memory_info().rss
            except psutil.Error:
                continue
            resident += memory
            self._cpu[process.pid] = times.user + times.system
            if first:
                self._start[process.pid] = times.user + times.system
        self.memory = max(self.memory, resident)


def measure(running: Running, load: Load, mails: int) -> Figures:
    source = sbin("smtp-source")
    assert source is not None, "smtp-source is not installed (Debian: postfix)"
    before, meter, start = running.delivered(), Meter(running), time.perf_counter()
    command = [source, *load.options, "-m", str(mails), "-f", "a@example.com", "-t", "b@example.net"]
    subprocess.run([*command, f"inet:{HOST}:{running.port}"], check=True, capture_output=True, timeout=SECONDS)
    accepted = time.perf_counter() - start
    wait_until(lambda: running.delivered() - before >= mails, seconds=SECONDS, what="all is delivered")
    delivered = time.perf_counter() - start
    cpu = meter.end()
    return Figures(mails / accepted, mails / delivered, cpu / mails * 1000, meter.memory)


async def reply_times(port: int, mails: int) -> list[float]:
    """Seconds from the final dot to its reply, for so many mails over 20 connections."""
    content = b"From: a@example.com\r\nTo: b@example.net\r\nSubject: probe\r\n\r\n" + b"x" * 70 + b"\r\n" * 50
    times: list[float] = []

    async def session(count: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        await reader.readline()
        writer.write(b"HELO probe\r\n")
        await reader.readline()
        for _ in range(count):
            for line in (b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.net>", b"DATA"):
                writer.write(line + b"\r\n")
                await reader.readline()
            writer.write(content + b"\r\n.\r\n")
            start = time.perf_counter()
            reply = await reader.readline()
            times.append(time.perf_counter() - start)
            assert reply.startswith(b"250"), reply
        writer.close()

    await asyncio.gather(*(session(mails // SESSIONS) for _ in range(SESSIONS)))
    return sorted(times)


Found = dict[tuple[str, str], dict[int, Figures]]
"""By load and relay: the figures of each round."""
Replies = dict[str, list[tuple[float, float]]]
"""By relay: the median and the 99th percentile of each round, in seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="these relays beside qboxrelay")
    parser.add_argument(
        "--flush-ms", type=int, default=0, help="as on a disk whose flush takes so much longer (by strace)"
    )
    arguments = parser.parse_args()
    relays, missing = available()
    prefix = slow_disk(arguments.flush_ms)
    if arguments.only is not None:
        relays = {name: relay for name, relay in relays.items() if name in {OURS, WITH_WORKERS, *arguments.only}}
    found: Found = defaultdict(dict)
    replies: Replies = defaultdict(list)
    for number in range(arguments.rounds):
        for name, relay in relays.items():
            try:
                with tempfile.TemporaryDirectory() as folder, relay(Path(folder), prefix) as running:
                    one_round(number, name, running, found, replies)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                missing[name] = f"failed in round {number + 1}: {error}"
                say(f"{name} {missing[name]}")
    if arguments.flush_ms:
        print(f"Each flush of a file takes {arguments.flush_ms} ms more than the disk needs.\n")
    report(list(relays), found, replies, missing)


def one_round(number: int, name: str, running: Running, found: Found, replies: Replies) -> None:
    fewer = SLOWEST.get(name, 1)
    measure(running, LOADS[0], WARM_UP)
    for load in LOADS:
        figures = measure(running, load, load.mails // fewer)
        found[load.name, name][number] = figures
        say(f"round {number + 1}, {name}, {load.name}: {figures.delivered:.0f} delivered a second")
    times = asyncio.run(reply_times(running.port, PROBES // fewer))
    replies[name].append((times[len(times) // 2], times[len(times) * 99 // 100]))


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def report(names: Sequence[str], found: Found, replies: Replies, missing: dict[str, str]) -> None:
    """The tables for the README, as Markdown."""
    machine = f"{psutil.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    rounds = max(map(len, found.values()), default=0)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {', '.join(versions())}; medians of {rounds} round(s)\n")
    print("| load | relay | accepted/s | delivered/s | qboxrelay delivers | CPU s per 1,000 | peak MB, all processes |")
    print("|---|---|---|---|---|---|---|")
    for load in LOADS:
        for name in names:
            if runs := found.get((load.name, name)):
                print(row(load.name, name, runs, found))
    print("\n| relay | reply to DATA, median | 99 of 100 within |\n|---|---|---|")
    for name, times in replies.items():
        middle, most = (statistics.median(one[n] for one in times) * 1000 for n in (0, 1))
        print(f"| {name} | {middle:.1f} ms | {most:.1f} ms |")
    print("".join(f"\n{name} is missing: {why}" for name, why in missing.items()))


def row(load: str, name: str, runs: dict[int, Figures], found: Found) -> str:
    """What qboxrelay delivers beside the others, and beside Postfix with so many processes."""
    accepted, delivered, cpu, memory = (
        statistics.median(getattr(run, field) for run in runs.values())
        for field in ("accepted", "delivered", "cpu", "memory")
    )
    if name == WITH_WORKERS:
        times = ratio(runs, found.get((load, "Postfix"), {}), "Postfix's")
    else:
        times = ratio(found[load, OURS], runs, "as many") if name != OURS else ""
    return f"| {load} | {name} | {accepted:.0f} | {delivered:.0f} | {times} | {cpu:.2f} | {memory / 1e6:.0f} |"


def ratio(ours: dict[int, Figures], theirs: dict[int, Figures], words: str) -> str:
    """Of runs of the same round: the machine may have been another one in the next."""
    ratios = [run.delivered / theirs[number].delivered for number, run in ours.items() if number in theirs]
    return f"{statistics.median(ratios):.1f} times {words}" if ratios else ""


def versions() -> list[str]:
    """What the peers are."""
    modules = Path(os.environ.get("TESTS_NODE_MODULES", ""))
    peers = [(name, modules / name) for name in ("smtp-server", "mailparser", "undici")]
    if program := os.environ.get("TESTS_HARAKA"):
        peers.append(("Haraka", Path(program).resolve().parents[1]))
    packages = [f"{name} {json.loads(file.read_text())['version']}" for name, file in _manifests(peers)]
    commands = {"Postfix": ["postconf", "-d", "-h", "mail_version"], "Node.js": ["node", "--version"]}
    texts = []
    for name, (program, *arguments) in commands.items():
        path = sbin(program)
        if path is not None:
            done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=30)
            texts.append(f"{name} {done.stdout.strip()}")
    return texts + packages + [f"{name} {version(name)}" for name in ("aiosmtpd", "httpx")]


def _manifests(peers: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    return [(name, folder / "package.json") for name, folder in peers if (folder / "package.json").is_file()]
