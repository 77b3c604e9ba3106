"""Whether the relay slows down as mail waits: `python -m tests.bench.growth [SIZE ...]`, by default 10, 1,000 and 100,000 submissions.

In: sizes; a million takes some minutes and 3 GB of disk. Out: a Markdown table with a row for each size, in a process of its own: what the spool
takes and hands out a second, and its CPU a mail, how long a relay needs from its start until it is ready, and its memory then. What waits, and
what comes, is of the same clients in every row. Never: a verdict.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.sqlite import SqliteSpool
from tests.bench.spool import Meter, fill, put_meter, send_meter
from tests.support.processes import HOST, Relay, free_port

SIZES = (10, 1_000, 100_000)
PAYLOAD = b'{"text_body":"' + b"x" * 2000 + b'"}'
MESSAGES = 5_000
GROUP = 20
"""Sessions that store at the same time."""
BATCH = 500
"""Mails of a request, as many as the settings allow by default."""
CLIENTS = 50
ROUNDS = 5
SPOOL = SpoolSettings(max_messages=10_000_000)


async def rates(path: Path, waiting: int) -> tuple[list[Meter], list[Meter]]:
    """Rounds of submissions that are taken, and that are claimed and recorded as sent, while so many wait."""
    spool = await SqliteSpool.open(path, settings=SPOOL, clock=SystemClock())
    try:
        await fill(spool, waiting, clients=CLIENTS, payload=PAYLOAD)
        taken, sent = [], []
        for _ in range(ROUNDS):
            taken.append(await put_meter(spool, PAYLOAD, MESSAGES, GROUP, clients=CLIENTS))
            sent.append(await send_meter(spool, MESSAGES, BATCH))
    finally:
        await spool.close()
    return taken, sent


def _shown(meters: list[Meter]) -> str:
    """The best of them: others have the machine, too."""
    rate = MESSAGES / min(meter.wall for meter in meters)
    return f"{rate:,.0f} | {min(meter.cpu for meter in meters) / MESSAGES * 1e6:.0f} µs"


def one(waiting: int) -> None:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Nobody answers there, so that everything goes on waiting.
        relay = Relay(
            folder, f"http://{HOST}:{free_port()}", extra='[spool]\nmin_free_bytes = "100MB"\nmax_messages = 10000000'
        )
        (folder / "data").mkdir(mode=0o700)
        taken, sent = asyncio.run(rates(folder / "data" / "spool.db", waiting))
        start = time.perf_counter()
        relay.start()
        ready = time.perf_counter() - start
        memory = psutil.Process(relay.pid()).memory_info().rss
        relay.close()
    print(f"| {waiting:,} | {_shown(taken)} | {_shown(sent)} | {ready:.2f} s | {memory / 1e6:.0f} MB |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is not None:
        one(arguments.row)
        return
    print("| waiting | stored/s | CPU each | claimed and recorded/s | CPU each | ready after | resident |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    for size in arguments.sizes:
        subprocess.run([sys.executable, "-m", "tests.bench.growth", "--row", str(size)], check=True)


if __name__ == "__main__":
    main()
