"""Whether the relay slows down as mail waits: `python -m tests.bench.growth [SIZE ...] [--clients N] [--rounds N]`, by default 10, 1,000 and
100,000 submissions of 50 clients.

In: sizes; a million takes some minutes and 4 GB of disk. Out: a Markdown table with a row for each size: what the spool takes and hands out a
second, and its CPU a mail, as medians, and as the median ratio to the first size in the same round; the spool's memory after that; how long a
relay needs from its start until it is ready, and its memory then. Each size has a process of its own, and they take turns, so that whatever else
the machine does meets all of them. What waits, and what comes, is of the same clients in every row. Never: a verdict.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.sqlite import SqliteSpool
from tests.bench.spool import Meter, fill, put_meter, send_meter
from tests.support.processes import HOST, Relay, free_port

SIZES = (10, 1_000, 100_000)
PAYLOAD = b'{"text_body":"' + b"x" * 2000 + b'"}'
MESSAGES = 2_500
GROUP = 20
"""Sessions that store at the same time."""
BATCH = 500
"""Mails of a request, as many as the settings allow by default."""
CLIENTS = 50
ROUNDS = 15
SPOOL = SpoolSettings(max_messages=10_000_000)

Figures = dict[str, float]
HEAD = "| waiting | stored/s | CPU each | claimed and recorded/s | CPU each | resident | relay ready after | resident |"


def _say(figures: Figures) -> None:
    print(json.dumps(figures), flush=True)


def _figures(name: str, meter: Meter) -> Figures:
    return {f"{name}_rate": MESSAGES / meter.wall, f"{name}_cpu": meter.cpu / MESSAGES * 1e6}


async def rounds(path: Path, waiting: int, clients: int, count: int) -> None:
    """Fill the spool, then a round for each line that comes in: submissions are taken, then claimed and recorded as sent."""
    spool = await SqliteSpool.open(path, settings=SPOOL, clock=SystemClock())
    try:
        await fill(spool, waiting, clients=clients, payload=PAYLOAD)
        _say({})
        for _ in range(count):
            sys.stdin.readline()
            taken = await put_meter(spool, PAYLOAD, MESSAGES, GROUP, clients=clients)
            sent = await send_meter(spool, MESSAGES, BATCH)
            _say(_figures("put", taken) | _figures("send", sent) | {"memory": psutil.Process().memory_info().rss / 1e6})
    finally:
        await spool.close()


def row(waiting: int, clients: int, count: int) -> None:
    """One size, in a process of its own; its lines are read by `main`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Nobody answers there, so that everything goes on waiting.
        relay = Relay(
            folder, f"http://{HOST}:{free_port()}", extra='[spool]\nmin_free_bytes = "100MB"\nmax_messages = 10000000'
        )
        (folder / "data").mkdir(mode=0o700)
        asyncio.run(rounds(folder / "data" / "spool.db", waiting, clients, count))
        sys.stdin.readline()
        start = time.perf_counter()
        relay.start()
        ready = time.perf_counter() - start
        memory = psutil.Process(relay.pid()).memory_info().rss
        relay.close()
        _say({"ready": ready, "relay_memory": memory / 1e6})


class Row:
    """The process of one size, and what it has said."""

    def __init__(self, stack: ExitStack, waiting: int, clients: int, count: int) -> None:
        self.waiting = waiting
        self._said: list[Figures] = []
        command = [sys.executable, "-m", "tests.bench.growth", "--row", str(waiting)]
        command += ["--clients", str(clients), "--rounds", str(count)]
        self._process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )

    def hear(self) -> None:
        assert self._process.stdout is not None
        self._said.append(json.loads(self._process.stdout.readline()))

    def turn(self) -> None:
        """One more round, or the relay's start; nothing else of the bench runs meanwhile."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.hear()

    def median(self, name: str) -> float:
        return statistics.median(figures[name] for figures in self._said if name in figures)

    def ratio(self, name: str, first: "Row") -> float:
        """Of rounds that followed each other at once."""
        pairs = zip(self._said, first._said, strict=True)
        return statistics.median(mine[name] / its[name] for mine, its in pairs if name in mine)

    def shown(self, first: "Row") -> str:
        def compared(name: str, shown: Callable[[float], str]) -> str:
            return f"{shown(self.median(name))} ({self.ratio(name, first):.2f})"

        speeds = [
            f"{compared(f'{name}_rate', '{:,.0f}'.format)} | {compared(f'{name}_cpu', '{:.0f} µs'.format)}"
            for name in ("put", "send")
        ]
        memory, ready, relay = (self.median(name) for name in ("memory", "ready", "relay_memory"))
        return f"| {self.waiting:,} | {' | '.join(speeds)} | {memory:.0f} MB | {ready:.2f} s | {relay:.0f} MB |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is not None:
        row(arguments.row, arguments.clients, arguments.rounds)
        return
    with ExitStack() as stack:
        rows = [Row(stack, size, arguments.clients, arguments.rounds) for size in arguments.sizes]
        for one in rows:
            one.hear()
        for _ in range(arguments.rounds + 1):
            for one in rows:
                one.turn()
        print(HEAD, "|---|---|---|---|---|---|---|---|", *[one.shown(rows[0]) for one in rows], sep="\n", flush=True)


if __name__ == "__main__":
    main()
