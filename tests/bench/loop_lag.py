"""How long the event loop is held while a large mail is received and mapped: `python -m tests.bench.loop_lag`.

In: a relay and a sandbox as processes. Out: a table of what a second session waits for the answer to NOOP, without and with a
30 MB mail under way. The wait holds everything: loop, scheduler, the other processes on the machine; so it is an upper bound.
"""

import smtplib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.support import mails, processes

MEGABYTE = 1_000_000
SENDER = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1])) as client:
    client.sendmail("zoe@example.com", ["bob@example.net"], open(sys.argv[2], "rb").read())
"""


def round_trips(client: smtplib.SMTP, over: threading.Event) -> list[float]:
    """Milliseconds from NOOP to its reply, as often as it goes until `over`."""
    found = []
    while not over.is_set():
        started = time.perf_counter()
        client.noop()
        found.append((time.perf_counter() - started) * 1000)
        time.sleep(0.002)
    return found


def show(what: str, values: list[float]) -> None:
    ordered = sorted(values)
    print(
        f"{what:32} {len(values):6} samples   median {statistics.median(values):6.2f} ms   "
        f"p99 {ordered[int(len(ordered) * 0.99)]:6.2f} ms   max {ordered[-1]:6.2f} ms"
    )


def main(repeat: int = 5) -> None:
    mail = mails.rich("thirty megabytes", mails.pattern(22 * MEGABYTE)).as_bytes().replace(b"\n", b"\r\n")
    print(f"mail of {len(mail) / MEGABYTE:.1f} MB, {repeat} times")
    with (
        tempfile.TemporaryDirectory() as directory,
        processes.sandbox() as qboxmail,
        processes.relay(Path(directory) / "relay", qboxmail.url) as relay,
        smtplib.SMTP(processes.HOST, relay.smtp_port) as watcher,
    ):
        file = Path(directory) / "mail.eml"
        file.write_bytes(mail)
        idle = threading.Event()
        threading.Timer(3, idle.set).start()
        show("idle", round_trips(watcher, idle))
        over = threading.Event()

        def send() -> None:
            for _ in range(repeat):
                # A process of its own: smtplib on 30 MB would hold this one's interpreter, and the watcher with it.
                subprocess.run([sys.executable, "-c", SENDER, str(relay.smtp_port), str(file)], check=True)
            processes.wait_until(lambda: relay.waiting() == 0, seconds=120)
            over.set()

        threading.Thread(target=send).start()
        show("receiving, mapping, sending", round_trips(watcher, over))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
