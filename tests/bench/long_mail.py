"""What others wait while many clients send long mail: `python -m tests.bench.long_mail [CLIENTS] [MEGABYTES]`.

In: how many clients at once (50), of how many megabytes (30, the door takes 35). Out: how many were taken, peak memory, and how long a NOOP
of another session took, before and meanwhile. Never: a verdict.
"""

import smtplib
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import Process, Queue
from pathlib import Path

from tests.e2e.faults.test_long import ENVELOPE, MEGABYTE, Memory, attachment
from tests.support.processes import HOST, Relay, relay, sandbox


def send(port: int, size: int, number: int) -> int:
    """The reply's code; 0 for a connection that was cut off."""
    try:
        with smtplib.SMTP(HOST, port, timeout=120) as client:
            client.sendmail(*ENVELOPE, attachment(f"long-{number}", size))
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code
    except (OSError, smtplib.SMTPException):
        return 0
    return 250


def senders(port: int, number: int, size: int, codes: "Queue[int]") -> None:
    """In a process of their own, so that they do not hold up who measures."""
    with ThreadPoolExecutor(number) as threads:
        for code in threads.map(partial(send, port, size), range(number)):
            codes.put(code)


def replies(running: Relay, over: threading.Event) -> list[float]:
    """Milliseconds of each NOOP over one connection."""
    found = []
    with smtplib.SMTP(HOST, running.smtp_port, timeout=60) as client:
        while not over.wait(0.005):
            began = time.perf_counter()
            client.noop()
            found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


def shown(found: list[float]) -> str:
    return f"p50 {found[len(found) // 2]:.1f} ms, p99 {found[len(found) * 99 // 100]:.1f} ms, longest {found[-1]:.1f} ms of {len(found)}"


def main() -> None:
    number, size = (int(word) for word in (sys.argv[1:] + ["50", "30"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder, sandbox() as api, relay(Path(folder), api.url) as running:
        quiet = threading.Event()
        threading.Timer(2, quiet.set).start()
        print(f"before:    {shown(replies(running, quiet))}", flush=True)
        codes: Queue[int] = Queue()
        over, got = threading.Event(), Counter[int]()

        def end() -> None:
            got.update(codes.get() for _ in range(number))
            over.set()

        with Memory(running.pid()) as memory:
            sending = Process(target=senders, args=(running.smtp_port, number, size * MEGABYTE, codes))
            sending.start()
            threading.Thread(target=end).start()
            print(f"meanwhile: {shown(replies(running, over))}")
        sending.join()
        print(
            f"{number} clients of {size} MB: {got[250]} taken, {got[452]} told to come again, {got[0]} cut off;",
            end=" ",
        )
        print(f"memory grew by {memory.grown / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
