"""What others wait while many clients send long mail: `python -m tests.bench.long_mail [CLIENTS] [MEGABYTES]`.

In: how many clients at once (50), of how many megabytes (30, the door takes 35). Out: how many were taken, peak memory, and how long a NOOP
of another session took, before and meanwhile; beside it how long the same took with a server that does nothing else, asked in turns by the
same process: what the machine itself makes everybody wait. Never: a verdict.
"""

import asyncio
import os
import smtplib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import Event, Process, Queue
from multiprocessing.synchronize import Event as EventOfProcesses
from pathlib import Path

from tests.e2e.faults.test_long import ENVELOPE, MEGABYTE, Memory, attachment
from tests.support.processes import HOST, free_port, relay, sandbox, wait_until

PAUSE_SECONDS = 0.005
RELAY, CONTROL = "relay", "nothing else"
Waits = dict[str, list[float]]


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


class Polite(asyncio.Protocol):
    """The least of SMTP: each line gets 250."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(b"220 control\r\n")

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"250 OK\r\n" * data.count(b"\n"))


def control(port: int) -> None:
    async def serve() -> None:
        await (await asyncio.get_running_loop().create_server(Polite, HOST, port)).serve_forever()

    asyncio.run(serve())


@contextmanager
def beside(function: Callable[..., None], *arguments: object) -> Iterator[Process]:
    """A process for as long as the block lasts."""
    process = Process(target=function, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def listening(port: int) -> bool:
    try:
        smtplib.SMTP(HOST, port, timeout=60).close()
    except OSError:
        return False
    return True


def ask(ports: dict[str, int], over: EventOfProcesses, answers: "Queue[Waits]") -> None:
    """Milliseconds of each NOOP, of every server in turns. In a process of its own as well."""
    found: Waits = {name: [] for name in ports}
    clients = {name: smtplib.SMTP(HOST, port, timeout=60, local_hostname="probe") for name, port in ports.items()}
    while not over.wait(PAUSE_SECONDS):
        for name, client in clients.items():
            began = time.perf_counter()
            client.noop()
            found[name].append((time.perf_counter() - began) * 1000)
    answers.put(found)


@contextmanager
def asking(ports: dict[str, int], what: str) -> Iterator[None]:
    """Ask while the block lasts; then print what was found."""
    over = Event()
    answers: Queue[Waits] = Queue()
    with beside(ask, ports, over, answers):
        try:
            yield
        finally:
            over.set()
        for name, waits in answers.get(timeout=120).items():
            print(f"{what:10} {name:13} {shown(sorted(waits))}", flush=True)


def shown(found: list[float]) -> str:
    return f"p50 {found[len(found) // 2]:.1f} ms, p99 {found[len(found) * 99 // 100]:.1f} ms, longest {found[-1]:.1f} ms of {len(found)}"


def cpu_seconds(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    number, size = (int(word) for word in (sys.argv[1:] + ["50", "30"][len(sys.argv) - 1 :]))
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox() as api,
        relay(Path(folder), api.url) as running,
        beside(control, other := free_port()),
    ):
        wait_until(partial(listening, other), what="the control listens")
        ports = {RELAY: running.smtp_port, CONTROL: other}
        with asking(ports, "before:"):
            threading.Event().wait(2)
        codes: Queue[int] = Queue()
        got, worked = Counter[int](), cpu_seconds(running.pid())
        with (
            Memory(running.pid()) as memory,
            asking(ports, "meanwhile:"),
            beside(senders, running.smtp_port, number, size * MEGABYTE, codes),
        ):
            got.update(codes.get() for _ in range(number))
        print(
            f"{number} clients of {size} MB: {got[250]} taken, {got[452]} told to come again, {got[0]} cut off;",
            f"memory grew by {memory.grown / 1e6:.0f} MB; the relay used {cpu_seconds(running.pid()) - worked:.1f} s of CPU",
        )


if __name__ == "__main__":
    main()
