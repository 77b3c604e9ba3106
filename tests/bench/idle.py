"""What an idle relay takes: `python -m tests.bench.idle [SECONDS]`.

In: how long to look (60). Out: resident memory, what of it is the relay's own, and how often its threads were woken. Never: a verdict.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.support.processes import HOST, free_port, relay

SETTLE_SECONDS = 45
"""After this a relay that has started knows that there is nothing to do."""


def memory(pid: int) -> dict[str, float]:
    """Megabytes by the names of proc(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(size) * 1024 / 1e6 for name, size, _unit in (line.replace(":", "").split() for line in lines)}


def wakes(pid: int) -> dict[str, int]:
    """How often each thread has waited so far, by its number."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        (line,) = (one for one in (thread / "status").read_text().splitlines() if one.startswith("voluntary"))
        found[thread.name] = int(line.split()[1])
    return found


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder, relay(Path(folder), f"http://{HOST}:{free_port()}") as running:
        time.sleep(SETTLE_SECONDS)
        pid = running.pid()
        before = wakes(pid)
        time.sleep(seconds)
        after, held = wakes(pid), memory(pid)
        own = held["Private_Clean"] + held["Private_Dirty"]
        print(
            f"{held['Rss']:.1f} MB resident, {own:.1f} MB of it nobody else's, {held['Pss']:.1f} MB with its share of what others use"
        )
        woken = {thread: count - before.get(thread, 0) for thread, count in after.items()}
        print(
            f"within {seconds:g} s the event loop was woken {woken.pop(str(pid))} times, the other threads {sum(woken.values())}"
        )


if __name__ == "__main__":
    main()
