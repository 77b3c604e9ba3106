"""The SMTP session against stock aiosmtpd, with Postfix's smtp-source as the load: `python -m tests.bench.smtp`.

Both servers run in a process of their own, one after the other in each round, with a handler that answers 250 and does nothing else.
Printed are mails a second of both and the ratio, by the clock and by the server's own CPU time (which says the same when the load and
the server have a core each, and more on a busy machine); and the memory of ours with 200 sessions of 10 MB each.
Needs smtp-source (Debian: postfix).
"""

import asyncio
import logging
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import structlog
import uvloop
from aiosmtpd.smtp import SMTP
from prometheus_client import CollectorRegistry

from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.envelope import Envelope
from qboxrelay.model.reply import Reply
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.smtp.limits import Memory
from qboxrelay.smtp.listener import House, SmtpListener
from qboxrelay.smtp.wirelog import WireLog
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics
from tests.support.processes import HOST, free_port

ROUNDS = 3
BOUND = 256_000_000
LOADS = {
    "4 KB, kept connections": (["-d", "-s", "10", "-l", "4096"], 6000, 3.5),
    "4 KB, a connection each": (["-s", "10", "-l", "4096"], 2000, 2.5),
    "10 MB, kept connections": (["-d", "-s", "2", "-l", "10000000"], 40, 15.0),
}


class Handler:
    """For stock aiosmtpd."""

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 2.0.0 Ok: queued as ID"


class Admission:
    """For ours."""

    judges_senders = False
    judges_recipients = False

    async def refused_sender(self, _sender: Address | None) -> Reply | None:
        return None

    async def refused_recipient(self, _address: Address) -> Reply | None:
        return None

    async def admit(self, _envelope: Envelope, _content: bytes) -> Reply:
        return Reply(250, "2.0.0", "Ok: queued as ID")


async def stock(port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(Handler(), hostname="bench", loop=loop), HOST, port, backlog=511)
    await asyncio.Event().wait()


async def ours(port: int) -> None:
    clock = SystemClock()
    house = House(
        hostname="bench",
        admission=Admission(),
        clock=clock,
        metrics=SmtpMetrics(CollectorRegistry()),
        memory=Memory(BOUND),
        wire=WireLog(None, clock),
    )
    await SmtpListener(settings=ListenerSettings.model_validate({"address": f"{HOST}:{port}"}), house=house).start()
    await asyncio.Event().wait()


@contextmanager
def serving(which: str) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.smtp", which, str(port)], stderr=subprocess.DEVNULL)
    try:
        load(port, ["-s", "1", "-l", "100"], 1, patience=20)
        yield port, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def load(port: int, options: list[str], count: int, patience: float = 0) -> float:
    """Seconds that so many mails take."""
    source = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert source is not None, "smtp-source is not installed (Debian: postfix)"
    command = [source, *options, "-m", str(count), "-f", "a@example.com", "-t", "b@example.net", f"inet:{HOST}:{port}"]
    end = time.monotonic() + patience
    while True:
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
        if done.returncode == 0:
            return time.perf_counter() - start
        assert time.monotonic() < end, done.stderr.decode()
        time.sleep(0.1)


def speed() -> None:
    for name, (options, count, wanted) in LOADS.items():
        by_clock, by_cpu = [], []
        for _ in range(ROUNDS):
            took = {which: measure(which, options, count) for which in ("stock", "ours")}
            by_clock.append(took["stock"][0] / took["ours"][0])
            by_cpu.append(took["stock"][1] / took["ours"][1])
            rates = ", ".join(f"{which} {count / seconds:.1f}/s" for which, (seconds, _) in took.items())
            print(f"{name}: {rates}; {by_clock[-1]:.1f} times by the clock, {by_cpu[-1]:.1f} by CPU time")
        medians = f"{statistics.median(by_clock):.1f} by the clock, {statistics.median(by_cpu):.1f} by CPU time"
        print(f"{name}: median {medians}; {wanted} are asked for")


def measure(which: str, options: list[str], count: int) -> tuple[float, float]:
    """Seconds by the clock and of the server's CPU that so many mails take."""
    with serving(which) as (port, process):
        before = process.cpu_times()
        seconds = load(port, options, count)
        after = process.cpu_times()
    return seconds, after.user + after.system - before.user - before.system


async def send_large(port: int, peak: list[int], process: psutil.Process) -> bytes:
    """One mail of 10 MB; the code that it is answered with."""
    reader, writer = await asyncio.open_connection(HOST, port)
    begin = b"EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
    code = b""
    try:
        writer.write(begin)
        while (line := await reader.readline())[:3] not in {b"354", b"452"}:
            assert line, "the connection ended"
        for _ in range(100):
            writer.write((b"x" * 98 + b"\r\n") * 1000)
            await writer.drain()
            peak[0] = max(peak[0], process.memory_info().rss)
        writer.write(b".\r\n")
    except ConnectionError:
        pass
    try:
        code = (await reader.readline())[:3]
    except ConnectionError:
        code = b"cut"
    writer.close()
    return code


def memory() -> None:
    """200 sessions send 10 MB each at the same time; those for which there is no room are told so, and none makes the relay larger."""

    async def run(port: int, process: psutil.Process) -> None:
        peak = [0]
        codes = Counter(await asyncio.gather(*(send_large(port, peak, process) for _ in range(200))))
        print(
            f"200 sessions of 10 MB: {peak[0] / 1e6:.0f} MB resident at most, bound {BOUND / 1e6:.0f} MB + 100 MB; {dict(codes)}"
        )

    with serving("ours") as (port, process):
        asyncio.run(run(port, process))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        factory = uvloop.new_event_loop if sys.argv[1] == "ours" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run({"stock": stock, "ours": ours}[sys.argv[1]](int(sys.argv[2])))
    else:
        speed()
        memory()
