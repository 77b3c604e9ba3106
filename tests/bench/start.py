"""How long a relay with a long queue takes until it is ready, and its memory then: `python -m tests.bench.start [SUBMISSIONS]`.

In: how many wait (100,000 by default). Out: seconds from exec to ready, resident megabytes; the same for an empty spool. Never: a verdict.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.sqlite import SqliteSpool
from tests.bench.spool import submission
from tests.support.processes import HOST, Relay, free_port

GROUP = 1000


async def fill(path: Path, number: int) -> None:
    spool = await SqliteSpool.open(path, settings=SpoolSettings(), clock=SystemClock())
    for start in range(0, number, GROUP):
        await spool.put([submission(b'{"subject":"x"}' + b" " * 4000) for _ in range(min(GROUP, number - start))])
    await spool.close()


def started(folder: Path, waiting: int) -> None:
    """Nobody answers where the API should be: all of it stays."""
    relay = Relay(folder, f"http://{HOST}:{free_port()}")
    asyncio.run(fill(folder / "data/spool.db", waiting))
    began = time.perf_counter()
    try:
        relay.start()
        seconds = time.perf_counter() - began
        resident = psutil.Process(relay.pid()).memory_info().rss / 1e6
        print(f"{waiting:9,} waiting: ready after {seconds:.2f} s, {resident:.0f} MB resident", flush=True)
    finally:
        relay.close()


def main() -> None:
    waiting = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        for number in (0, waiting):
            started(Path(folder) / str(number), number)


if __name__ == "__main__":
    main()
