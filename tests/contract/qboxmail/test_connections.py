"""What is left of a request that was cut off: no socket, no lost place in the pool, no harm to its neighbours."""

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import timedelta

from qboxrelay.model.outcome import Deferred
from qboxrelay.qboxmail.answer import Answer
from qboxrelay.qboxmail.send import SendClient, prepare
from qboxrelay.qboxmail.token import FixedToken
from qboxrelay.settings.types import Secret
from tests.contract.dispatch.harness import CERTIFICATE, scenario, until
from tests.contract.management import harness as management
from tests.support.scripted_api import ScriptedApi, Step

_TLS = ssl.create_default_context(cafile=CERTIFICATE)
_PAYLOADS = [b'{"subject":"s","to":["a@example.net"]}']


def _client(
    base_url: str,
    *,
    seconds: float = 30.0,
    max_connections: int = 1,
    monotonic: Callable[[], float] = time.monotonic,
) -> SendClient:
    return SendClient(
        base_url=base_url,
        token=FixedToken(Secret("t")),
        deadline=timedelta(seconds=seconds),
        connect_timeout=timedelta(seconds=30),
        max_connections=max_connections,
        monotonic=monotonic,
        tls=_TLS,
    )


async def _cancel_after(steps: int, client: SendClient) -> bool:
    """Cancel a request after so many turns of the event loop; whether it was still under way."""
    request = asyncio.create_task(client.post(_PAYLOADS))
    for _ in range(steps):
        await asyncio.sleep(0)
    cut_off = request.cancel()
    await asyncio.wait([request])
    return cut_off


@scenario
async def test_cut_off_at_any_moment_leaves_the_place_in_the_pool() -> None:
    """A request that is cancelled, at whatever turn of the event loop, leaves the account's only connection to the next one."""
    await prepare()
    lost, steps, under_way = [], 0, True
    async with ScriptedApi() as api:
        while under_way:
            client = _client(api.base_url, seconds=10)
            under_way = await _cancel_after(steps, client)
            if not isinstance(await client.post(_PAYLOADS), Answer):
                lost.append(steps)
            await client.close()
            steps += 1

    assert steps > 10, "the request was over before anything could be cut off"
    assert lost == []


@scenario
async def test_deadline_within_the_handshake_closes_the_socket() -> None:
    """A server that takes connections and never answers the TLS handshake costs no descriptor for each try."""
    opened = closed = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, closed
        opened += 1
        try:
            await reader.read()
        finally:
            closed += 1
            writer.transport.abort()

    await prepare()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    client = _client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", seconds=1.0)
    outcomes = [await client.post(_PAYLOADS) for _ in range(3)]

    async def all_closed() -> bool:
        return opened == closed == 3

    await until(all_closed)
    server.close()
    await client.close()

    assert [type(outcome) for outcome in outcomes] == [Deferred] * 3


@scenario
async def test_cut_off_does_not_disturb_its_neighbour() -> None:
    """While one request is cut off, another one on the same account goes on to its answer."""
    await prepare()
    async with ScriptedApi(Step(ending="hangs"), Step(seconds=0.3, accept=True)) as api:
        client = _client(api.base_url, max_connections=2)

        async def asked(count: int) -> None:
            async def reached() -> bool:
                return len(api.requests) == count

            await until(reached)

        hanging = asyncio.create_task(client.post(_PAYLOADS))
        await asked(1)
        neighbour = asyncio.create_task(client.post(_PAYLOADS))
        await asked(2)
        hanging.cancel()
        answer = await neighbour
        after = await client.post(_PAYLOADS)
        await client.close()

    assert isinstance(answer, Answer)
    assert isinstance(after, Answer)
    assert api.connections == 3, "the request after it has a pool of its own"


@scenario
async def test_busy_connection_is_not_kept_for_ever() -> None:
    """Only a new connection asks the name again: a relay that is always busy follows a changed address within minutes."""
    await prepare()
    now = 0.0
    async with ScriptedApi() as api:
        client = _client(api.base_url, monotonic=lambda: now)
        connections = []
        for now in (0.0, 10.0, 299.0, 301.0, 310.0, 602.0):  # noqa: B007 - the client looks at it
            assert isinstance(await client.post(_PAYLOADS), Answer)
            connections.append(api.connections)
        await client.close()

    assert connections == [1, 1, 1, 2, 2, 3]


@scenario
async def test_old_connection_ends_with_its_last_request() -> None:
    """A request under way is not disturbed when its connection has grown too old for the next one."""
    await prepare()
    now = 0.0
    async with ScriptedApi(Step(accept=True, seconds=1.0)) as api:
        client = _client(api.base_url, monotonic=lambda: now)
        slow = asyncio.create_task(client.post(_PAYLOADS))

        async def asked() -> bool:
            return bool(api.requests)

        await until(asked)
        now = 301.0
        quick = await client.post(_PAYLOADS)
        first = await slow
        await client.close()

    assert isinstance(first, Answer)
    assert isinstance(quick, Answer)
    assert api.connections == 2


@scenario
async def test_words_that_never_end_leave_the_place_in_the_pool() -> None:
    """An error whose text drips is known by its status; the connection that was left in its middle is not used again."""
    await prepare()
    async with ScriptedApi(Step(status=503, ending="drips", headers={"Content-Length": "10000"})) as api:
        client = _client(api.base_url)
        first = await client.post(_PAYLOADS)
        second = await client.post(_PAYLOADS)
        await client.close()

    assert isinstance(first, Answer)
    assert first.status == 503
    assert isinstance(second, Answer)
    assert second.status == 202


@scenario
async def test_management_api_is_asked_again_after_requests_that_were_cut_off() -> None:
    """The Management API's few places are not used up by requests that were cut off."""
    await prepare()
    steps, under_way = 0, True

    body = b'{"resources":[],"pagination":{"total_records":0,"total_pages":0}}'
    async with ScriptedApi(*[Step(status=200, body=body, ending="early")] * 1000) as api:
        while under_way:
            client = management.client(f"http://127.0.0.1:{api.port}", api_deadline="10s")
            for _ in range(2):
                asked = asyncio.create_task(client.listing())
                for _ in range(steps):
                    await asyncio.sleep(0)
                under_way = asked.cancel()
                await asyncio.wait([asked])
            assert (await client.listing()).domains == {}, f"after requests cut off at turn {steps}"
            await client.close()
            steps += 1

    assert steps > 10, "the request was over before anything could be cut off"
