"""How fast mail leaves, against the sandbox with 50 ms latency: `python -m tests.bench.sending [MAILS]`.

Printed are, the best of several runs each:
- mails a second at the documented limits (500 in a request, 10 requests a second), from the relay's start with a full spool until
  everything is recorded as sent: against the sandbox, and against a sink that reads nothing and answers what is documented;
- the same without a rate, which is what the relay's own work allows;
- from the 250 that a client reads to the request's start, for a mail that comes alone: whole processes, by the machine's clock.
The API runs in a process of its own, and takes its share of the machine.
"""

import asyncio
import json
import logging
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import structlog

from qboxrelay.model.submission import State
from qboxrelay.qboxmail.token import FixedToken
from qboxrelay.sandbox.config import SandboxConfig
from qboxrelay.sandbox.server import SandboxServer
from qboxrelay.settings.types import Secret
from tests.contract.dispatch.harness import account, dispatching, mails, opened, quick
from tests.support import mails as messages
from tests.support.processes import HOST, Relay, free_port, wait_until

LATENCY = 0.05
TOKEN = "sandbox-send-token"
ROUNDS = 3


async def sandbox(port: int) -> None:
    config = SandboxConfig(port=port, latency_seconds=LATENCY, requests_per_second=10_000, inbox_bytes=50_000_000)
    server = SandboxServer(config)
    await server.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def sink(port: int) -> None:
    """Answers every POST as documented, without a look at it: one entry for each `"subject"`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            await asyncio.sleep(LATENCY)
            entries = [{"error_code": 0, "message_id": f"{n}@x", "to": ""} for n in range(body.count(b'"subject"'))]
            answer = json.dumps({"error_code": 0, "message": "OK", "request_id": "r", "messages": entries}).encode()
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    await asyncio.start_server(serve, HOST, port, limit=1 << 20)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).lower()
    except asyncio.IncompleteReadError:
        return b""


@contextmanager
def serving(which: str) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.sending", which, str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), f"the {which} did not start"
        yield f"http://{HOST}:{port}"
    finally:
        process.kill()
        process.wait()


async def drained(url: str, count: int, path: Path, per_second: float) -> float:
    """Mails a second of a spool that is full when the relay starts."""
    async with opened(path) as spool:
        for start in range(0, count, 500):
            await spool.put(mails(*[f"m{number}" for number in range(start, start + 500)]))
        used = account(f"{url}/v1", requests_per_second=per_second)
        settings = quick(request_deadline="30s", connect_timeout="10s")
        token = FixedToken(Secret(TOKEN))
        async with dispatching(spool, used, settings=settings, token=token) as relay:
            started = time.perf_counter()
            await relay.emptied(interval=0.002)
            seconds = time.perf_counter() - started
        assert (await spool.depth()).messages[State.SENT] == count
    return count / seconds


def full(count: int, per_second: float, words: str) -> None:
    for which in ("sandbox", "sink"):
        rates = []
        for _ in range(ROUNDS):
            with serving(which) as url, tempfile.TemporaryDirectory() as folder:
                rates.append(asyncio.run(drained(url, count, Path(folder), per_second)))
        listed = ", ".join(f"{rate:.0f}" for rate in rates)
        print(f"{which}, {words}: {max(rates):.0f} mails a second at best (all runs: {listed})")


def alone(mails_alone: int = 40) -> None:
    with serving("sandbox") as url, tempfile.TemporaryDirectory() as folder:
        relay = Relay(Path(folder), url).start()
        heard = []
        with smtplib.SMTP(HOST, relay.smtp_port, timeout=10) as client:
            for number in range(mails_alone):
                time.sleep(0.25)
                client.sendmail("ann@example.com", ["bob@example.net"], messages.wire(messages.simple(f"m{number}")))
                heard.append(time.time())
        wait_until(lambda: relay.waiting() == 0, what="all has left")
        asked = httpx.get(f"{url}/sandbox/requests", params={"limit": 1000}, trust_env=False).json()
        relay.close()
    starts = sorted(request["received_at"] for request in asked)
    waits = sorted((start - at) * 1000 for at, start in zip(heard, starts, strict=True))
    print(
        f"alone: from the 250 to the request at the sandbox: median {statistics.median(waits):.1f} ms, "
        f"nine of ten within {waits[len(waits) * 9 // 10]:.1f} ms, worst {waits[-1]:.1f} ms"
    )


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if len(sys.argv) > 2:
        asyncio.run({"sandbox": sandbox, "sink": sink}[sys.argv[1]](int(sys.argv[2])))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    full(count, 10.0, "10 requests a second")
    full(count, 1000.0, "no rate")
    alone()


if __name__ == "__main__":
    main()
