"""The status page on a real socket, over a real spool.

In: settings. Out: `Pages` to ask. Never: a network beyond loopback.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from qboxrelay.model.sender_domain import (
    DeliveryDomain,
    DomainReport,
    DomainState,
    RecordCheck,
    RecordVerdict,
    SenderFacts,
)
from qboxrelay.model.submission import Submission
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.types import Secret, SocketAddress
from qboxrelay.spool.port import Spool
from qboxrelay.spool.queue import Queue
from qboxrelay.spool.shared import Node
from qboxrelay.status.app import create_app
from qboxrelay.status.doorkeeper import Doorkeeper
from qboxrelay.status.figures import SpoolFigures
from qboxrelay.status.health import Health, Probe
from qboxrelay.status.history import History
from qboxrelay.status.server import HttpServer
from qboxrelay.status.sessions import Sessions
from qboxrelay.status.site import Domains, Site
from qboxrelay.telemetry.metrics import IntakeMetrics
from tests.contract.spool.harness import ACCEPTED, START, SqliteSpools, failed, held, mail, sent, taken

TOKEN = "a-token-that-nobody-guesses"
HTML = {"accept": "text/html,application/xhtml+xml"}
EVERY_PAGE = ("/", "/messages", "/messages?state=all", "/messages/failed-1", "/messages/sent", "/accounts", "/domains",
              "/domains/example.com", "/nodes", "/login", "/messages/unheard-of", "/domains/unheard.example")  # fmt: skip


class OneDomain:
    """`example.com`, whose SPF record is wrong."""

    def names(self) -> list[str]:
        return ["example.com"]

    def listed(self, name: str) -> DeliveryDomain | None:
        return DeliveryDomain(name=name, state=DomainState.MISCONFIGURED, words={"status_detail": "<b>spf</b>"})

    def accounts_of(self, _name: str) -> list[str]:
        return ["sandbox"]

    def standing(self, name: str) -> SenderFacts:
        return SenderFacts(domain=name, state=DomainState.MISCONFIGURED, age=timedelta(minutes=3))

    async def report(self, name: str) -> DomainReport | None:
        check = RecordCheck(
            kind="spf", name=name, verdict=RecordVerdict.WRONG, expected="include:spf.example.net",
            found="<script>alert(1)</script>", advice="publish another", secure=False,
        )  # fmt: skip
        return DomainReport(domain=name, checked_at=START, ttl=timedelta(minutes=5), checks=(check,))


@dataclass
class Pages:
    """`token` may change, as the file behind it may."""

    spools: SqliteSpools
    spool: Spool
    history: History
    url: str
    http: httpx.AsyncClient
    sessions: Sessions
    token: Secret | None
    adopt: Callable[[Settings], None] = lambda _settings: None
    """What a reload does."""

    async def text(self, path: str, *, status: int = 200, **options: Any) -> str:
        response = await self.http.get(path, **options)
        assert response.status_code == status, (path, response.text)
        return response.text

    async def post(self, path: str, fields: dict[str, Any], **headers: str) -> httpx.Response:
        """As a browser sends a form of ours; `headers` with _ for - replace what it says of itself."""
        said = {"origin": self.url, "sec-fetch-site": "same-origin"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(path, data=fields, headers={name: value for name, value in said.items() if value})

    async def log_in(self) -> str:
        """The CSRF text of the session."""
        response = await self.post("/login", {"token": TOKEN})
        assert response.status_code == 303, response.text
        return csrf_of(await self.text("/messages?state=all"))

    async def states(self) -> dict[str, str]:
        return {record.id: record.state for record in await self.spool.latest()}


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def settings(**status: Any) -> Settings:
    return Settings.model_validate({"relay": {"name": "relay.example"}, "status": {"address": "127.0.0.1:0", **status}})


@asynccontextmanager
async def pages(
    folder: Path,
    chosen: Settings | None = None,
    *,
    token: str | None = TOKEN,
    domains: Domains | None = None,
    fill: Callable[[Spool], Any] | None = None,
    queue: Callable[[Queue], Queue] = lambda queue: queue,
    nodes: Sequence[Node] | None = None,
    spool_of: Callable[[Spool], Spool] = lambda spool: spool,
    patience: timedelta = timedelta(hours=1),
    trouble_patience: timedelta = timedelta(hours=1),
    probes: Mapping[str, Probe] | None = None,
) -> AsyncIterator[Pages]:
    """Pages over a spool with one submission in each state, or what `fill` puts. `spool_of` gives what figures are read from."""
    known, spools, registry = chosen or settings(), SqliteSpools(folder), CollectorRegistry()
    numbers = count()
    async with spools.open() as spool:
        await (fill or one_of_each)(spool)
        figures = SpoolFigures(spool_of(spool), ["default"], spools.clock)
        history = History(registry=registry, refresh=figures.refresh, figures=figures.latest, clock=spools.clock)
        IntakeMetrics(registry)
        health = Health(probes=dict(probes or {}), detail=dict, clock=spools.clock)
        sessions = Sessions(monotonic=spools.clock.monotonic, random_text=lambda: f"random-{next(numbers)}")
        made = Pages(spools, spool, history, "", httpx.AsyncClient(), sessions, Secret(token) if token else None)
        site = Site(
            name="relay.example", version="1.2.3", settings=known, queue=queue(spools.queue()), history=history, health=health,
            conditions=conditions, domains=domains,
            keeper=Doorkeeper(
                settings=known.status, names=["relay.example"], token=lambda: made.token, sessions=sessions
            ),
            clock=spools.clock, nodes=None if nodes is None else listed(nodes), patience=patience,
            trouble_patience=trouble_patience,
        )  # fmt: skip
        made.adopt = lambda anew: site.adopt(anew, domains)
        app = create_app(registry=registry, refresh=figures.refresh, health=health, site=site)
        server = HttpServer(app, SocketAddress("127.0.0.1", 0))
        await server.start()
        made.url = f"http://127.0.0.1:{server.port}"
        await made.http.aclose()
        try:
            async with httpx.AsyncClient(base_url=made.url, trust_env=False, timeout=60) as made.http:
                yield made
        finally:
            await server.stop(timedelta(seconds=2))


def listed(nodes: Sequence[Node]) -> Callable[[], Awaitable[list[Node]]]:
    async def found() -> list[Node]:
        return list(nodes)

    return found


async def one_of_each(spool: Spool) -> None:
    """`sent-1`, `failed-1`, `held-1`, `queued-1`."""
    await spool.put([mail(name) for name in ("sent", "failed", "held")])
    batch = await taken(spool)
    first, second, third = batch.submissions
    await spool.record(batch, ACCEPTED, [sent(first), failed(second), held(third)])
    await spool.put([mail("queued")])


def hostile(name: str, **fields: str) -> Submission:
    """A submission whose every text is markup."""
    text = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    told = {
        "envelope_sender": f"{text}@example.com", "from_address": f"{text}@example.com", "subject": text,
        "message_id_header": f"<{text}>", "client_helo": text, "client_user": text, "listener": text, **fields,
    }  # fmt: skip
    return replace(mail(name), recipients=(f"{text}@example.net",), **told)  # type: ignore[arg-type]


def conditions() -> dict[str, object]:
    return {
        "default": {
            "type": "transactional",
            "condition": "quota",
            "reason": "<i>monthly quota</i>.",
            "for_seconds": 90,
            "next_try_in_seconds": 3.5,
        }
    }
