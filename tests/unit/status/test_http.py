"""The HTTP listener, over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from prometheus_client import CollectorRegistry

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.types import SocketAddress
from qboxrelay.status.app import create_app
from qboxrelay.status.health import Health, Probe
from qboxrelay.status.server import HttpServer
from qboxrelay.telemetry.metrics import IntakeMetrics, build_info
from qboxrelay.telemetry.metrics_spool import DepthCollector, Figures, Waiting

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def serve(ask: Ask, *, probe: Probe, registry: CollectorRegistry | None = None) -> httpx.Response:
    async def main() -> httpx.Response:
        health = Health(probes={"spool": probe}, detail=lambda: {"accounts": {"a": "running"}}, clock=SystemClock())
        app = create_app(registry=registry or CollectorRegistry(), refresh=nothing, health=health)
        server = HttpServer(app, SocketAddress("127.0.0.1", 0))
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            response = await ask(client)
        await server.stop(timedelta(seconds=2))
        return response

    return asyncio.run(main())


async def nothing() -> None:
    """Nothing to bring up to date."""


async def well() -> str | None:
    return None


async def full() -> str | None:
    return "the spool is full: max_messages = 1 is reached"


def test_ready_when_every_probe_is_well() -> None:
    """/readyz answers 200 with the accounts' states."""
    response = serve(lambda client: client.get("/readyz"), probe=well)

    assert response.status_code == 200
    assert response.json() == {"status": "ready", "reasons": {}, "accounts": {"a": "running"}}


def test_not_ready_says_why() -> None:
    """/readyz answers 503 and names the reason."""
    response = serve(lambda client: client.get("/readyz"), probe=full)

    assert response.status_code == 503
    assert response.json()["reasons"] == {"spool": "the spool is full: max_messages = 1 is reached"}


def test_alive_does_not_ask_probes() -> None:
    """/healthz is about the process alone."""
    assert serve(lambda client: client.get("/healthz"), probe=full).json() == {"status": "alive"}


def test_metrics_in_the_scrapers_format() -> None:
    """Text by default, OpenMetrics where the scraper accepts it."""
    registry = CollectorRegistry()
    build_info(registry, "1.2.3")
    intake = IntakeMetrics(registry)
    intake.accepted(100, 2, since=intake.now(), transaction_id="01KB2X7C9M4V3T8ZQ0R6S5W1YE")
    waiting = Waiting(account="a", state="queued", messages=3, bytes=42, oldest_seconds=1.5)
    registry.register(DepthCollector(lambda: Figures(waiting=(waiting,), oldest_queued_seconds=1.5)))
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    text = serve(lambda client: client.get("/metrics"), probe=well, registry=registry)
    openmetrics = serve(lambda client: client.get("/metrics", headers=accept), probe=well, registry=registry)

    assert text.headers["content-type"].startswith("text/plain")
    assert 'version="1.2.3"} 1.0' in text.text
    assert "qboxrelay_mails_accepted_total 1.0" in text.text
    assert 'qboxrelay_spool_messages{account="a",state="queued"} 3.0' in text.text
    assert "qboxrelay_spool_oldest_queued_seconds 1.5" in text.text
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


def test_depth_is_told_by_the_leader_alone() -> None:
    """Of relays that share a spool: a sum over all of them counts nothing twice. Whether the spool can be read each says for itself."""
    leads, registry = [False], CollectorRegistry()
    waiting = Waiting(account="a", state="queued", messages=3, bytes=42, oldest_seconds=1.5)
    registry.register(DepthCollector(lambda: Figures(waiting=(waiting,)), leads=lambda: leads[0]))
    names = ("messages", "bytes", "oldest_seconds")

    def told() -> list[float | None]:
        labels = {"account": "a", "state": "queued"}
        return [registry.get_sample_value(f"qboxrelay_spool_{name}", labels) for name in names]

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"qboxrelay_spool_{name}")

    assert told() == [None, None, None]
    assert [value(name) for name in ("leader", "readable", "oldest_queued_seconds")] == [0, 1, None]
    leads[0] = True
    assert told() == [3, 42, 1.5]
    assert [value(name) for name in ("leader", "readable", "oldest_queued_seconds")] == [1, 1, 0]


def test_probe_is_asked_at_most_once_in_two_seconds() -> None:
    """A scraper in a hurry does not make the spool commit for each request."""
    asked: list[None] = []

    async def counting() -> str | None:
        asked.append(None)
        return None

    async def twice(client: httpx.AsyncClient) -> httpx.Response:
        await client.get("/readyz")
        return await client.get("/readyz")

    serve(twice, probe=counting)

    assert len(asked) == 1


def test_every_answer_says_when_it_was_given() -> None:
    """RFC 9110 §6.6.1; no clock ticks for it while nobody asks."""
    response = serve(lambda client: client.get("/healthz"), probe=well)

    given = parsedate_to_datetime(response.headers["date"])
    assert abs(datetime.now(UTC) - given) < timedelta(minutes=5)
    assert response.headers.get_list("date") == [response.headers["date"]]
