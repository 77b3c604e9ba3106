"""A listener in an event loop and a thread of its own, so that blocking clients can talk to it."""

import asyncio
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.envelope import Envelope
from qboxrelay.model.reply import Reply
from qboxrelay.policy.login.logins import Logins
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.smtp.limits import Memory
from qboxrelay.smtp.listener import House, SmtpListener
from qboxrelay.smtp.tls import Certificate
from qboxrelay.smtp.wirelog import WireLog
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics

PEM = Path(__file__).parents[1] / "sandbox" / "localhost.pem"
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
HOST = "127.0.0.1"


class Recording:
    """An admission that takes everything."""

    def __init__(self) -> None:
        self.got: list[tuple[Envelope, bytes]] = []

    judges_senders = False
    judges_recipients = False

    async def refused_sender(self, _sender: Address | None) -> Reply | None:
        return None

    async def refused_recipient(self, _address: Address) -> Reply | None:
        return None

    async def admit(self, envelope: Envelope, content: bytes) -> Reply:
        self.got.append((envelope, content))
        return Reply(250, "2.0.0", "Ok: queued as ID")


class Running:
    """What a test asks of the listener."""

    def __init__(self, listener: SmtpListener, admission: Any, registry: CollectorRegistry, memory: Memory) -> None:
        self.listener = listener
        self.memory = memory
        self.admission = admission
        self._registry = registry
        self.port = listener.port

    @property
    def got(self) -> list[tuple[Envelope, bytes]]:
        found: list[tuple[Envelope, bytes]] = self.admission.got
        return found

    def metric(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(name, labels) or 0.0


@contextmanager
def door(
    *,
    loop: str = "asyncio",
    certificate: Certificate | None = None,
    memory: int = 200_000_000,
    wire: Path | None = None,
    logins: Logins | None = None,
    admission: Any = None,
    metrics: type[SmtpMetrics] = SmtpMetrics,
    budget: type[Memory] = Memory,
    **settings: Any,
) -> Iterator[Running]:
    """A listener on a free port of loopback while the block lasts."""
    registry, clock, receiving = CollectorRegistry(), SystemClock(), budget(memory)
    admission = admission or Recording()

    async def start() -> SmtpListener:
        house = House(
            hostname="relay.example",
            admission=admission,
            clock=clock,
            metrics=metrics(registry),
            memory=receiving,
            wire=WireLog(wire, clock),
            certificate=certificate,
            logins=logins,
        )
        listener = SmtpListener(
            settings=ListenerSettings.model_validate({"address": f"{HOST}:0", **settings}), house=house
        )
        await listener.start()
        return listener

    async def stop(listener: SmtpListener) -> None:
        await listener.close()
        await listener.wait_idle(timedelta(seconds=10))
        for _ in range(10):
            await asyncio.sleep(0.005)  # transports close in the loop's next turns, however long each takes

    with _threaded(LOOPS[loop]()) as run:
        listener = run(start())
        try:
            yield Running(listener, admission, registry, receiving)
        finally:
            run(stop(listener))


@contextmanager
def _threaded(loop: asyncio.AbstractEventLoop) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def new_certificate(path: Path, name: str = "relay.example") -> Path:
    """A self-signed certificate and its key in one PEM file, made by openssl."""
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName=DNS:{name},IP:127.0.0.1",
            "-keyout",
            str(path),
            "-out",
            f"{path}.crt",
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path
