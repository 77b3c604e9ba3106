"""Recipients on the suppression list: asked about over real HTTP, remembered, and never in the way of mail when the list cannot be read."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.intake.suppressed import SuppressionGate
from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.sender_domain import ManagementFailure
from qboxrelay.qboxmail.suppressions import SuppressionClient, is_suppressed
from qboxrelay.qboxmail.token import FixedToken, TokenUnreadable
from qboxrelay.settings.schema import SenderDomainSettings
from qboxrelay.settings.types import Secret
from qboxrelay.telemetry.metrics import SuppressionMetrics
from tests.contract.management.harness import TOKEN
from tests.contract.sandbox.harness import Client, serving

KEEP = timedelta(minutes=10)
PATIENCE = timedelta(seconds=20)
BOB = Address("bob", "example.net")


class Unreadable:
    def current(self) -> Secret:
        raise TokenUnreadable("no token")


class Gate:
    """A gate over a client, and what it counted."""

    def __init__(self, client: SuppressionClient, keep: timedelta = KEEP) -> None:
        self.registry = CollectorRegistry()
        self.gate = SuppressionGate(
            lookup=client, keep=keep, clock=SystemClock(), metrics=SuppressionMetrics(self.registry)
        )

    async def refuses(self, address: Address) -> bool:
        reply = await self.gate.refused(address)
        assert reply is None or (reply.code, reply.enhanced) == (550, "5.7.1")
        return reply is not None

    def count(self, outcome: str) -> float:
        return self.registry.get_sample_value("qboxrelay_suppression_lookups_total", {"outcome": outcome}) or 0.0


@asynccontextmanager
async def asking(url: str, token: str = TOKEN, deadline: timedelta = PATIENCE) -> AsyncIterator[SuppressionClient]:
    settings = SenderDomainSettings(base_url=url)
    client = SuppressionClient(settings=settings, token=FixedToken(Secret(token)), deadline=deadline)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def qboxmail() -> Iterator[Client]:
    with serving() as client:
        suppress(client, "Bob@example.net")
        yield client


@pytest.fixture
def url(qboxmail: Client) -> str:
    return str(qboxmail.http.base_url)


def suppress(client: Client, email: str) -> None:
    assert client.manage_post("suppression_lists", {"email": email, "reason": "bounce"}).status_code == 204


def test_listed_recipient_is_refused(url: str) -> None:
    """In any case of letters; the answer is remembered, for those who are not on the list, too."""

    async def main() -> None:
        async with asking(url) as client:
            gate = Gate(client)
            assert await gate.refuses(BOB)
            assert await gate.refuses(Address("BOB", "Example.NET"))
            assert not await gate.refuses(Address("eve", "example.net"))
            assert not await gate.refuses(Address("eve", "example.net"))
        assert [gate.count(outcome) for outcome in ("held", "free", "refused", "unknown")] == [1, 1, 2, 0]

    asyncio.run(main())


def test_answer_is_asked_anew_after_a_while(url: str) -> None:
    """Who is taken off the list is written to again."""

    async def main() -> None:
        async with asking(url) as client:
            gate = Gate(client, keep=timedelta())
            assert await gate.refuses(BOB)
            assert await gate.refuses(BOB)
        assert gate.count("held") == 2

    asyncio.run(main())


def test_list_that_cannot_be_read_refuses_nobody(url: str) -> None:
    """No connection, a token that is refused, a token that is gone: everybody is let in, and for a while nothing is asked."""

    async def main() -> None:
        unreadable = SuppressionClient(
            settings=SenderDomainSettings(base_url=url), token=Unreadable(), deadline=PATIENCE
        )
        async with asking("http://127.0.0.1:1") as gone, asking(url, token="wrong") as refused:
            for client, reason in ((gone, "connect"), (refused, "unauthorized"), (unreadable, "token")):
                gate = Gate(client)
                with capture_logs() as logs:
                    assert not await gate.refuses(BOB)
                    assert not await gate.refuses(BOB)
                assert [line["reason"] for line in logs] == [reason]
                assert gate.count("unknown") == 2
        await unreadable.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"action": "status", "status": 404}, "free"),
        ({"action": "status", "status": 503}, "unknown"),
        ({"action": "status", "status": 200, "body": "<html>please log in</html>"}, "unknown"),
        ({"action": "status", "status": 200, "body": "x" * 2_000_000}, "unknown"),
    ],
)
def test_odd_answers_refuse_nobody(qboxmail: Client, url: str, fault: dict[str, Any], outcome: str) -> None:
    """404 is how the API may say that an address is not on the list; everything else is no answer."""
    qboxmail.fault(path="/api/delivery/suppression_lists/details", **fault)

    async def main() -> None:
        async with asking(url) as client:
            gate = Gate(client)
            assert not await gate.refuses(BOB)
        assert gate.count(outcome) == 1

    asyncio.run(main())


def test_slow_list_is_not_waited_for() -> None:
    """RCPT waits as long as is set, then mail goes on."""

    async def main() -> None:
        # Connections are taken by the system, and nobody ever answers.
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            async with asking(url, deadline=timedelta(milliseconds=50)) as client:
                gate = Gate(client)
                with capture_logs() as logs:
                    assert not await asyncio.wait_for(gate.refuses(BOB), PATIENCE.total_seconds() / 2)
                assert [line["reason"] for line in logs] == ["timeout"]

    asyncio.run(main())


def test_burst_does_not_queue_up(url: str) -> None:
    """Beyond a few lookups at a time recipients are let in without one."""

    async def main() -> None:
        async with asking(url) as client:
            gate = Gate(client)
            answers = [gate.refuses(Address(f"user{number}", "example.net")) for number in range(50)]
            assert not any(await asyncio.gather(*answers))
        assert gate.count("free") == 8
        assert gate.count("unknown") == 42

    asyncio.run(main())


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ('{"email":"BOB@example.net","active":true,"accounts":[]}', True),
        ('{"email":"bob@example.net","active":"true"}', True),
        ('{"email":"bob@example.net","active":1,"accounts":null}', True),
        ('{"email":"bob@example.net","active":false,"accounts":[]}', False),
        ('{"email":"bob@example.net","active":"string"}', False),
        ('{"email":"bob@example.net"}', False),
        ('{"email":"bob@example.net","active":true,"accounts":["12345"]}', False),
        ('{"email":"eve@example.net","active":true}', False),
        ("7", False),
    ],
)
def test_only_a_clear_yes_counts(resource: str, expected: bool) -> None:
    """Active, of this address, and not of single accounts: the documentation leaves types open, and a doubt is no reason to refuse."""
    assert is_suppressed(f'{{"resources":[{resource}]}}'.encode(), "bob@example.net") is expected


def test_one_resource_alone_is_read_too() -> None:
    """Instead of a list of one."""
    body = b'{"resources":{"email":"bob@example.net","active":true}}'

    assert is_suppressed(body, "bob@example.net")


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"resources":7}', b"{}"])
def test_what_is_no_answer_is_a_failure(content: bytes) -> None:
    """A captive portal says nothing about anybody."""
    with pytest.raises(ManagementFailure):
        is_suppressed(content, "bob@example.net")
