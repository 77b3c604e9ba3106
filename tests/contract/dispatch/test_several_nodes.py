"""Several dispatchers on one spool: one rate of a token, one condition of an account, whoever found it out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.qboxmail.token import FileToken
from qboxrelay.settings.schema import AccountSettings, DeliverySettings, SpoolSettings
from qboxrelay.spool.port import Spool
from qboxrelay.spool.postgres.nodes import PostgresShared
from qboxrelay.spool.postgres.spool import PostgresSpool
from tests.contract.dispatch.harness import Relay, account, dispatching, mails, quick, scenario, until
from tests.contract.dispatch.test_sandbox import sandbox
from tests.contract.nodes.harness import Schema
from tests.support.postgres import closed_port, require_postgres
from tests.support.scripted_api import ScriptedApi, Step

LONG = "600s"


@pytest.fixture(autouse=True)
def _server() -> None:
    require_postgres()


@dataclass(frozen=True)
class Node:
    """One relay of those on a spool."""

    shared: PostgresShared
    spool: Spool
    relay: Relay

    def condition(self) -> str:
        found: Any = self.relay.dispatcher.status()["default"]
        return str(found["condition"])


class Nodes:
    """Relays on one schema. What they do is over when their block ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.schema = Schema()

    @asynccontextmanager
    async def node(self, name: str, used: AccountSettings, **parts: Any) -> AsyncIterator[Node]:
        async with self.schema.node(name) as shared:
            spool = await PostgresSpool.open(
                await self.schema.database(),
                data_dir=self._folder / name,
                node=name,
                settings=SpoolSettings(),
                clock=SystemClock(),
            )
            beside = asyncio.create_task(shared.run())
            try:
                async with dispatching(spool, used, shared=shared, **parts) as relay:
                    yield Node(shared, spool, relay)
            finally:
                beside.cancel()
                await asyncio.wait({beside})
                await spool.close()

    @asynccontextmanager
    async def two(self, used: AccountSettings, **parts: Any) -> AsyncIterator[tuple[Node, Node]]:
        async with self.node("one", used, **parts) as one, self.node("two", used, **parts) as two:
            yield one, two


def all_are(condition: str, *nodes: Node) -> Callable[[], Awaitable[bool]]:
    """For `until`."""

    async def reached() -> bool:
        return {node.condition() for node in nodes} == {condition}

    return reached


def ten_a_second(base_url: str) -> AccountSettings:
    """As documented; each mail is a request, and few are under way at a time, so that a slow machine sends no burst."""
    return account(base_url, requests_per_second=10.0, max_messages_per_request=1, max_requests_in_flight=2)


def patient(**changes: Any) -> DeliverySettings:
    return quick(**{"request_deadline": "20s", "connect_timeout": "10s", **changes})


@scenario
async def test_documented_rate_holds_over_nodes(tmp_path: Path) -> None:
    """Two nodes, as fast as they may: the API, which counts the token's requests for itself, refuses none, and has each mail once."""
    subjects = [f"m{number}" for number in range(40)]
    async with sandbox(requests_per_second=10) as api:
        used = ten_a_second(api.base_url)
        async with Nodes(tmp_path).two(used, settings=patient(), token=api.token) as (one, _):
            await one.spool.put(mails(*subjects))
            await one.relay.finished()
        statuses = Counter(request["status"] for request in await api.requests())
        times = Counter(entry["message"]["subject"] for entry in await api.accepted())
    assert statuses == {202: 40}
    assert times == dict.fromkeys(subjects, 1)


@scenario
async def test_turn_that_the_lease_does_not_last_for(tmp_path: Path) -> None:
    """Leased mail is given back until the turn comes nearer, and no turn is taken for nothing: that would put off everybody's for ever."""
    short = patient(lease="6s", request_deadline="3s", connect_timeout="2s")
    async with sandbox(requests_per_second=10) as api:
        nodes, used = Nodes(tmp_path), ten_a_second(api.base_url)
        async with nodes.two(used, settings=short, token=api.token) as (one, _):
            await one.spool.put(mails("before"))
            await one.relay.finished()
            await nodes.schema.ask("UPDATE rates SET turn_at = turn_at + 8 RETURNING turn_at")
            await one.spool.put(mails("behind", "after"))
            await one.relay.finished()
        times = Counter(entry["message"]["subject"] for entry in await api.accepted())
    assert times == {"before": 1, "behind": 1, "after": 1}


@pytest.mark.parametrize(
    ("step", "condition"),
    [
        (Step(status=401), "configuration"),
        (Step(status=429, headers={"Retry-After": "500"}), "rate"),
        (Step(status=500), "trouble"),
    ],
)
@scenario
async def test_what_one_node_heard_holds_for_all(step: Step, condition: str, tmp_path: Path) -> None:
    """One request found it out: none is sent by another node, and a node that starts later hears of it, too."""
    settings = patient(
        account_pause=LONG, rate_pause=LONG, breaker_pause=LONG, breaker_failures=1, retry_schedule=[LONG]
    )
    async with ScriptedApi(step) as api:
        nodes, used = Nodes(tmp_path), account(api.base_url)
        async with nodes.two(used, settings=settings) as (one, two):
            await one.spool.put(mails("a"))
            await until(all_are(condition, one, two))
            async with nodes.node("three", used, settings=settings) as three:
                await until(all_are(condition, three))
                await three.spool.put(mails("b", "c"))
                await until(all_are(condition, one, two, three))
        assert len(api.requests) == 1


@scenario
async def test_success_of_one_probe_resumes_all(tmp_path: Path) -> None:
    """The pause ends, one small request finds out that it is over, and all nodes go on."""
    async with ScriptedApi(Step(status=401)) as api:
        async with Nodes(tmp_path).two(account(api.base_url), settings=patient(account_pause="5s")) as (one, two):
            await one.spool.put(mails("a"))
            await until(all_are("configuration", one, two))
            await one.spool.put(mails("b", "c"))
            await two.spool.put(mails("d"))
            await two.relay.finished()
            await until(all_are("running", one, two))
        assert api.accepted == dict.fromkeys("abcd", 1)
        assert len(api.requests[1].subjects) == 1


@scenario
async def test_probe_of_a_node_that_dies(tmp_path: Path) -> None:
    """Its right to probe runs out, and another node finds out."""
    nodes = Nodes(tmp_path)
    async with ScriptedApi() as api, nodes.schema.node("dead") as dead:
        await dead.tell("default", "quota", reason="words", token=b"", wait=timedelta())
        assert await dead.may_probe("default", timedelta(seconds=2))
        async with nodes.node("one", account(api.base_url), settings=patient()) as one:
            await until(all_are("quota", one))
            await one.spool.put(mails("a"))
            await one.relay.finished()
            await until(all_are("running", one))
        assert [told.condition for told in await dead.conditions()] == ["running"]


@scenario
async def test_new_token_resumes_at_once(tmp_path: Path) -> None:
    """Each node looks at its own token: a new one is worth a probe, however long the pause of the old one is."""
    path = tmp_path / "token"
    path.write_text("an-old-token")
    async with sandbox() as api:
        used, settings = account(api.base_url), patient(account_pause=LONG)
        async with Nodes(tmp_path).two(used, settings=settings, token=FileToken(path)) as (one, two):
            await one.spool.put(mails("a"))
            await until(all_are("configuration", one, two))
            path.write_text(api.token.current().reveal())
            await one.relay.finished()
            await until(all_are("running", one, two))


@scenario
async def test_wrong_token_of_one_node(tmp_path: Path) -> None:
    """Of one node that was forgotten when the token changed: what the API says of its token does not keep the others from sending."""
    path = tmp_path / "token"
    path.write_text("an-old-token")
    nodes = Nodes(tmp_path)
    async with sandbox() as api:
        used, settings = account(api.base_url), patient(account_pause=LONG)
        async with nodes.node("one", used, settings=settings, token=FileToken(path)) as one:
            await one.spool.put(mails("a"))
            await until(all_are("configuration", one))
            async with nodes.node("two", used, settings=settings, token=api.token) as two:
                await two.relay.finished()
                await two.spool.put(mails("b", "c"))
                await two.relay.finished()
                assert (one.condition(), two.condition()) == ("configuration", "running")


@scenario
async def test_trouble_of_one_machine(tmp_path: Path) -> None:
    """A node without a way to the API keeps its trouble to itself, and the others send its mail."""
    nodes, settings = Nodes(tmp_path), patient(breaker_failures=1, breaker_pause=LONG)
    nowhere = account(f"http://127.0.0.1:{closed_port()}/v1")
    async with ScriptedApi() as api, nodes.node("one", nowhere, settings=settings) as one:
        await one.spool.put(mails("a"))
        await until(all_are("trouble", one))
        async with nodes.node("two", account(api.base_url), settings=settings) as two:
            await two.relay.finished()
            assert (one.condition(), two.condition()) == ("trouble", "running")
        assert api.accepted == {"a": 1}


@scenario
async def test_rate_that_was_too_fast_is_slower_for_all(tmp_path: Path) -> None:
    """One 429 halves the turns of the token, which all nodes take."""
    nodes = Nodes(tmp_path)
    settings = patient(rate_pause=LONG)
    async with ScriptedApi(Step(status=429)) as api, nodes.two(account(api.base_url), settings=settings) as (one, two):
        await one.spool.put(mails("a"))
        await until(all_are("rate", one, two))

        async def slower() -> bool:
            return await nodes.schema.ask("SELECT slowness FROM rates") == [{"slowness": 2.0}]

        await until(slower)


@scenario
async def test_nothing_is_sent_without_a_turn(tmp_path: Path) -> None:
    """While turns cannot be taken nothing leaves, and nothing is lost; then it goes on by itself."""
    nodes = Nodes(tmp_path)
    async with ScriptedApi() as api, nodes.node("one", account(api.base_url), settings=patient()) as one:
        await nodes.schema.ask("ALTER TABLE rates RENAME TO away")
        await one.spool.put(mails("a"))

        async def leased() -> bool:
            return [record.attempts for record in await one.spool.latest()] == [1]

        await until(leased)
        assert not api.requests
        await nodes.schema.ask("ALTER TABLE away RENAME TO rates")
        await one.relay.finished()
        assert api.accepted == {"a": 1}


@scenario
async def test_no_token_in_the_database(tmp_path: Path) -> None:
    """Rates and conditions are told apart by a digest."""
    nodes, secret = Nodes(tmp_path), "a-token-that-must-not-show"
    path = tmp_path / "token"
    path.write_text(secret)
    async with ScriptedApi(Step(status=401)) as api:
        used, settings = account(api.base_url), patient(account_pause=LONG)
        async with nodes.node("one", used, settings=settings, token=FileToken(path)) as one:
            await one.spool.put(mails("a"))
            await until(all_are("configuration", one))

            async def told() -> bool:
                return bool(await nodes.schema.ask("SELECT * FROM conditions"))

            await until(told)
        rows = [await nodes.schema.ask(f"SELECT * FROM {table}") for table in ("rates", "conditions", "nodes")]
    assert all(secret.encode() not in _bytes(value) for table in rows for row in table for value in row.values())


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
