"""The listing in a relay's hands: refreshed, kept over a restart, taken over from beside, never given up for a failure."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.domains.keeping import NAME, to_bytes
from qboxrelay.domains.sender_domains import SenderDomains
from qboxrelay.intake.sender_domain import SenderDomainGate
from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.reply import Refusal
from qboxrelay.model.sender_domain import DomainState, Listing
from qboxrelay.qboxmail.management import ManagementClient
from qboxrelay.qboxmail.token import FixedToken
from qboxrelay.settings.schema import SenderDomainSettings, SpoolSettings
from qboxrelay.settings.types import Secret
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.spool.sqlite.facts import FactsBeside
from qboxrelay.telemetry.metrics_domains import DomainCollector, DomainMetrics
from tests.contract.domains.harness import scenario
from tests.contract.management.harness import TOKEN
from tests.contract.sandbox.harness import Client, serving
from tests.support.dns import Front, free_port
from tests.support.processes import HOST

ACCOUNTS = {"main": "sandbox", "news": "sandbox-news", "any": ""}


class Parts:
    """What a test looks at."""

    def __init__(self, domains: SenderDomains, gate: SenderDomainGate, registry: CollectorRegistry) -> None:
        self.domains = domains
        self.gate = gate
        self._registry = registry

    async def state(self, domain: str, account: str = "main") -> DomainState:
        return (await self.domains.gather(domain, account)).state

    def metric(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(f"qboxrelay_sender_domain_{name}", labels) or 0.0


@asynccontextmanager
async def relay(folder: Path, port: int, *, run: bool = False, **settings: Any) -> AsyncIterator[Parts]:
    """The parts of a relay that know about domains, as `service` puts them together; `port` is the sandbox's."""
    chosen = SenderDomainSettings.model_validate({"base_url": f"http://{HOST}:{port}", **settings})
    registry, clock = CollectorRegistry(), SystemClock()
    metrics = DomainMetrics(registry)
    spool = await SqliteSpool.open(folder / "spool.db", settings=SpoolSettings(), clock=clock)
    management = ManagementClient(settings=chosen, token=FixedToken(Secret(TOKEN)), clock=clock)
    domains = SenderDomains(
        settings=chosen,
        accounts=ACCOUNTS,
        management=management if chosen.source != "static" else None,
        store=spool,
        clock=clock,
        rng=random.Random(1),
        metrics=metrics,
    )
    registry.register(DomainCollector(domains.states))
    gate = SenderDomainGate(facts=domains, settings=chosen, metrics=metrics)
    running = None
    try:
        await domains.start()
        running = asyncio.create_task(domains.run()) if run else None
        yield Parts(domains, gate, registry)
    finally:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await domains.close()
        await management.close()
        await spool.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - what it waits for is a schedule's business
            await asyncio.sleep(0.02)


@scenario
async def test_every_state_by_account(tmp_path: Path) -> None:
    """A domain is judged for the account that would send; with an account that is not named, any will do."""
    with serving() as qboxmail:
        async with relay(tmp_path, qboxmail.port) as parts:
            states = {name: await parts.state(name) for name in ("example.com", "news.example", "unassigned.example")}
            assert list(states.values()) == [DomainState.ENABLED, DomainState.NOT_ASSIGNED, DomainState.NOT_ASSIGNED]
            assert await parts.state("news.example", "news") is DomainState.ENABLED
            assert await parts.state("news.example", "any") is DomainState.ENABLED
            assert await parts.state("unassigned.example", "any") is DomainState.NOT_ASSIGNED
            assert await parts.state("need-approval.example") is DomainState.NEED_APPROVAL
            assert await parts.state("unknown.example") is DomainState.NOT_LISTED
            assert parts.metric("status", domain="blocked.example", status="blocked") == 1
            assert parts.metric("status", domain="unassigned.example", status="not_assigned") == 1
            assert parts.metric("status", domain="news.example", status="enabled") == 1
            assert 0 <= parts.metric("facts_age_seconds") < 60
            assert parts.metric("refreshes_total", result="ok") == 1


@scenario
async def test_a_restart_with_the_api_down_still_knows(tmp_path: Path) -> None:
    """The listing is in the spool, with its age."""
    with serving() as qboxmail:
        async with relay(tmp_path, qboxmail.port):
            pass
    async with relay(tmp_path, free_port()) as parts:
        assert await parts.state("example.com") is DomainState.ENABLED
        assert await parts.state("unknown.example") is DomainState.NOT_LISTED
        status = parts.domains.status()
        assert (status["source"], status["domains"], status["too_old"], status["failing"]) == (
            "management",
            9,
            False,
            None,
        )
        assert parts.metric("facts_age_seconds") >= 0


@pytest.mark.parametrize(("fallback", "code"), [("accept", None), ("defer", 451)])
@scenario
async def test_nothing_known_falls_back_as_configured(tmp_path: Path, fallback: str, code: int | None) -> None:
    """The API was never reached: mail is taken, or told to wait; the status says why."""
    async with relay(tmp_path, free_port(), if_no_facts=fallback) as parts:
        verdict = await parts.gate.judge("example.com", "main")
        assert (verdict.reply.code if verdict.reply else None) == code
        status = parts.domains.status()
        assert status["age_seconds"] is None
        assert status["too_old"] is True
        assert isinstance(status["failing"], dict)
        assert status["failing"]["reason"] == "connect"
        assert parts.metric("refreshes_total", result="connect") == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 401},
        {"action": "status", "status": 403},
        {"action": "status", "status": 500},
        {"action": "status", "status": 200, "body": "garbage"},
        {"action": "drop"},
    ],
    ids=str,
)
@scenario
async def test_a_failing_api_leaves_what_was_known(tmp_path: Path, fault: dict[str, Any]) -> None:
    """However often it fails: mail is judged by the last answer, one line is logged, and one more when it is well again."""
    with serving() as qboxmail, capture_logs() as logs:
        async with relay(tmp_path, qboxmail.port) as parts:
            refresher = parts.domains._refresher
            assert refresher is not None
            await asyncio.to_thread(qboxmail.fault, **fault, path="/api/")
            for _ in range(3):
                await refresher.refresh()
            assert await parts.state("example.com") is DomainState.ENABLED
            assert refresher.failure is not None
            assert parts.metric("refreshes_total", result=refresher.failure.reason) == 3
            await asyncio.to_thread(qboxmail.http.delete, "/sandbox/faults")
            await refresher.refresh()
            assert parts.domains.status()["failing"] is None
    events = [line["event"] for line in logs]
    assert events.count("sender_domains.refresh_failed") == 1
    assert events.count("sender_domains.refresh_recovered") == 1


@scenario
async def test_a_slow_api_delays_no_mail(tmp_path: Path) -> None:
    """Nobody waits for a refresh that is under way; the last answer counts meanwhile."""
    with serving() as qboxmail:
        async with relay(tmp_path, qboxmail.port) as parts:
            await asyncio.to_thread(qboxmail.fault, action="hang", path="/api/")
            refresher = parts.domains._refresher
            assert refresher is not None
            refreshing = asyncio.create_task(refresher.refresh())
            for _ in range(1000):
                assert await parts.state("example.com") is DomainState.ENABLED
            assert not refreshing.done()
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)


@scenario
async def test_facts_grow_too_old_and_a_start_asks_anew(tmp_path: Path) -> None:
    """A listing older than the limit counts as none; a relay that finds only such a one asks before its doors open."""
    with serving() as qboxmail:
        async with relay(tmp_path, qboxmail.port) as parts:
            refresher = parts.domains._refresher
            assert refresher is not None
            assert refresher.listing is not None
            old = Listing(fetched_at=datetime.now(UTC) - timedelta(days=2), domains=refresher.listing.domains)
        await FactsBeside(tmp_path / "spool.db").remember(NAME, to_bytes(old))
        async with relay(tmp_path, free_port()) as parts:
            assert await parts.state("example.com") is DomainState.NO_FACTS
            assert parts.domains.status()["too_old"] is True
        async with relay(tmp_path, qboxmail.port) as parts:
            assert await parts.state("example.com") is DomainState.ENABLED


@scenario
async def test_a_change_at_the_api_is_seen_within_the_refresh_time(tmp_path: Path) -> None:
    """Verified while the relay runs; said once in the log."""
    with serving() as qboxmail, capture_logs() as logs:
        async with relay(tmp_path, qboxmail.port, run=True, refresh="1s") as parts:
            assert await parts.state("not-verified.example") is DomainState.NOT_VERIFIED
            await asyncio.to_thread(_enable, qboxmail, "not-verified.example")
            await until(lambda: _is(parts, "not-verified.example", DomainState.ENABLED))
            assert parts.metric("status", domain="not-verified.example", status="enabled") == 1
            assert parts.metric("status", domain="not-verified.example", status="not_verified") == 0
    changes = [line for line in logs if line["event"] == "sender_domain.changed"]
    assert [(line["domain"], line["before"], line["after"]) for line in changes] == [
        ("not-verified.example", "not_verified", "enabled")
    ]


@scenario
async def test_what_another_process_leaves_is_taken_over_at_once(tmp_path: Path) -> None:
    """As `qboxrelay domains refresh` does it; what is older than what is known is not."""
    with serving() as qboxmail:
        async with relay(tmp_path, qboxmail.port, run=True) as parts:
            refresher = parts.domains._refresher
            assert refresher is not None
            listing = refresher.listing
            assert listing is not None
            fewer = {"example.org": listing.domains["example.org"]}
            beside = FactsBeside(tmp_path / "spool.db")
            stale = Listing(fetched_at=listing.fetched_at - timedelta(minutes=1))
            await beside.remember(NAME, to_bytes(stale))
            await refresher.look()
            assert await parts.state("example.com") is DomainState.ENABLED
            await beside.remember(NAME, b"damaged")
            await beside.remember(NAME, to_bytes(Listing(fetched_at=datetime.now(UTC), domains=fewer)))
            await parts.domains.look()
            assert await parts.state("example.com") is DomainState.NOT_LISTED


@scenario
async def test_static_domains_ask_nobody(tmp_path: Path) -> None:
    """Without a token: the configured domains, and no others."""
    async with relay(tmp_path, free_port(), source="static", domains=["example.net"], run=True) as parts:
        assert await parts.state("example.net") is DomainState.ENABLED
        assert await parts.state("example.com") is DomainState.NOT_LISTED
        await parts.domains.look()
        assert parts.domains.status()["source"] == "static"
        assert parts.metric("status", domain="example.net", status="enabled") == 1


@scenario
async def test_a_warning_is_logged_once_a_change_and_counted_every_time(tmp_path: Path) -> None:
    with serving() as qboxmail, capture_logs() as logs:
        async with relay(tmp_path, qboxmail.port) as parts:
            for _ in range(5):
                await parts.gate.require("misconfigured.example", "main")
            with pytest.raises(Refusal) as refused:
                await parts.gate.require("blocked.example", "main")
            assert refused.value.rule == "sender_domain_blocked"
            assert parts.metric("verdicts_total", state="misconfigured", verdict="warn") == 5
            assert parts.metric("verdicts_total", state="blocked", verdict="reject") == 1
    assert [line["event"] for line in logs].count("sender_domain.warned") == 1


@scenario
async def test_the_mail_command_asks_by_setting_only(tmp_path: Path) -> None:
    """Off by default; the null sender is judged by From alone; which account sends is not known yet."""
    sender = Address("ann", "blocked.example")
    with serving() as qboxmail:
        async with relay(tmp_path / "off", qboxmail.port) as parts:
            assert await parts.gate.mail_from(sender) is None
        async with relay(tmp_path / "on", qboxmail.port, check_mail_from=True) as parts:
            reply = await parts.gate.mail_from(sender)
            assert reply is not None
            assert reply.code == 550
            assert await parts.gate.mail_from(None) is None
            assert await parts.gate.mail_from(Address("ann", "news.example")) is None


@pytest.mark.parametrize(
    ("domain", "state", "code"),
    [
        ("right.example", "enabled", None),
        ("wrong.example", "dns_wrong", 550),
        ("missing.example", "dns_missing", 550),
        ("lame.example", "dns_unknown", None),
    ],
)
@scenario
async def test_dns_is_enforced_at_the_door(
    tmp_path: Path, dns_port: int, domain: str, state: str, code: int | None
) -> None:
    """Domains of the configuration, looked at in DNS: wrong and missing are refused, unknown is not."""
    settings: dict[str, Any] = {
        "source": "static",
        "domains": [domain],
        "dns": "enforce",
        "resolvers": [f"{HOST}:{dns_port}"],
        "dns_deadline": "30s",
        "spf_include": "spf.provider.example",
    }
    async with relay(tmp_path, free_port(), **settings) as parts:
        verdict = await parts.gate.judge(domain, "main")
        assert (verdict.state, verdict.reply.code if verdict.reply else None) == (state, code)
        assert parts.metric("dns_checks_total", verdict=state.removeprefix("dns_").replace("enabled", "ok")) == 1


@scenario
async def test_who_may_not_send_costs_no_lookup(tmp_path: Path, dns_port: int) -> None:
    """Nobody can make the relay ask DNS by sending from made-up domains."""
    async with Front(dns_port) as front:
        settings: dict[str, Any] = {"source": "static", "domains": ["right.example"], "dns": "enforce"}
        async with relay(tmp_path, free_port(), resolvers=[f"{HOST}:{front.port}"], **settings) as parts:
            for number in range(20):
                assert await parts.state(f"made-up-{number}.example") is DomainState.NOT_LISTED
        assert not front.asked


@scenario
async def test_three_thousand_mails_of_ten_domains_ask_each_question_once(tmp_path: Path, dns_port: int) -> None:
    """Counted at the DNS server: ten looks within the TTL, whether mail comes at once, during the first look, or after it."""
    domains = [
        "right",
        "oversized",
        "chained",
        "null-mx",
        "missing",
        "spf-nested",
        "spf-redirect",
        "strict",
        "spf-without",
        "spf-twice",
    ]
    names = [f"{name}.example" for name in domains]
    async with Front(dns_port) as front:
        settings: dict[str, Any] = {"source": "static", "domains": names, "dns": "enforce", "dns_deadline": "60s"}
        settings |= {"resolvers": [f"{HOST}:{front.port}"], "spf_include": "spf.provider.example"}
        async with relay(tmp_path, free_port(), **settings) as parts:
            for _ in range(3):
                verdicts = await asyncio.gather(
                    *(parts.gate.judge(names[number % 10], "main") for number in range(1000))
                )
                assert {verdict.state for verdict in verdicts} == {"enabled", "dns_wrong", "dns_missing"}
            looks = sum(
                parts.metric("dns_checks_total", verdict=verdict) for verdict in ("ok", "wrong", "missing", "unknown")
            )
    asked_again = {question: times for question, times in front.asked.items() if times > 1}
    assert (looks, asked_again) == (10, {})
    assert ("_dmarc.right.example", "TXT") in front.asked


@scenario
async def test_dns_is_looked_at_for_whoever_is_let_in(tmp_path: Path, dns_port: int) -> None:
    """A state that a setting lets in is judged by DNS as well; one that it keeps out costs no question."""
    async with Front(dns_port) as front:
        settings: dict[str, Any] = {"dns": "enforce", "if_no_facts": "defer", "resolvers": [f"{HOST}:{front.port}"]}
        settings |= {"if_not_verified": "warn", "if_misconfigured": "reject", "dns_deadline": "30s"}
        with serving() as qboxmail:
            for name, state in (("right.example", "not_verified"), ("wrong.example", "misconfigured")):
                await asyncio.to_thread(_put, qboxmail, name, state)
            async with relay(tmp_path, qboxmail.port, **settings) as parts:
                let_in = await parts.gate.judge("right.example", "main")
                kept_out = await parts.gate.judge("wrong.example", "main")
    assert let_in.state in {"dns_wrong", "dns_missing"}
    assert kept_out.state == "misconfigured"
    assert {name for name, _ in front.asked if name.endswith("wrong.example")} == set()


@scenario
async def test_two_accounts_that_differ_are_no_change(tmp_path: Path) -> None:
    """One account may send for the domain and another may not: mail by turns is one line, not one each."""
    with serving() as qboxmail, capture_logs() as logs:
        async with relay(tmp_path, qboxmail.port, if_not_assigned="warn") as parts:
            for _ in range(5):
                await parts.gate.require("news.example", "main")
                await parts.gate.require("news.example", "news")
    assert [line["event"] for line in logs].count("sender_domain.warned") == 1


async def _is(parts: Parts, domain: str, state: DomainState) -> bool:
    return await parts.state(domain) is state


def _put(qboxmail: Client, domain: str, status: str) -> None:
    qboxmail.http.put(f"/sandbox/domains/{domain}", json={"display_status": status, "code": domain}).raise_for_status()


def _enable(qboxmail: Client, domain: str) -> None:
    changes = {"display_status": "enabled", "approval_status": "approved"}
    qboxmail.http.put(f"/sandbox/domains/{domain}", json=changes).raise_for_status()
