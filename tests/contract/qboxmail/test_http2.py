"""HTTP/2, as httpx negotiates it with an https host: the same outcomes as over HTTP/1.1."""

import asyncio
import ssl
import time
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.model.outcome import Deferred, Unknown
from qboxrelay.model.submission import State
from qboxrelay.qboxmail.answer import Answer
from qboxrelay.qboxmail.send import SendClient, body_bytes
from qboxrelay.qboxmail.token import FixedToken
from qboxrelay.settings.types import Secret
from tests.contract.dispatch.harness import CERTIFICATE, account, dispatching, mails, opened, quick, scenario, states
from tests.support.http2_api import Http2Api, Step

PAYLOAD = b'{"subject":"s","to":["a@example.net"],"text_body":"x"}'


def client(base_url: str, *, seconds: float = 30, max_connections: int = 4, trusted: bool = True) -> SendClient:
    return SendClient(
        base_url=base_url,
        token=FixedToken(Secret("t")),
        deadline=timedelta(seconds=seconds),
        connect_timeout=timedelta(seconds=30),
        max_connections=max_connections,
        monotonic=time.monotonic,
        tls=ssl.create_default_context(cafile=CERTIFICATE if trusted else None),
    )


@scenario
async def test_http_2_is_spoken_with_who_speaks_it() -> None:
    """ALPN chooses h2; token and length arrive, and requests at the same time share one connection."""
    async with Http2Api(Step(seconds=0.2), Step(seconds=0.2), Step(seconds=0.2)) as api:
        sender = client(api.base_url)
        first = await sender.post([PAYLOAD])
        answers = await asyncio.gather(*[sender.post([PAYLOAD, PAYLOAD]) for _ in range(3)])
        await sender.close()

    assert [answer.status for answer in (first, *answers) if isinstance(answer, Answer)] == [202] * 4
    assert api.protocols == ["h2"]
    assert api.most_streams > 1
    assert api.headers[0]["authorization"] == "Bearer t"
    assert api.headers[0]["content-length"] == str(body_bytes([PAYLOAD])) == str(len(api.bodies[0]))
    assert api.headers[0][":path"] == "/v1/send"


@scenario
async def test_large_body_goes_through_the_flow_control() -> None:
    """Twenty megabytes, in windows of 64 KB, arrive as they are."""
    payload = b'{"subject":"large","text_body":"' + b"x" * 20_000_000 + b'"}'
    async with Http2Api() as api:
        sender = client(api.base_url)
        answer = await sender.post([payload])
        await sender.close()

    assert isinstance(answer, Answer)
    assert api.bodies == [b'{"messages":[' + payload + b"]}"]


@pytest.mark.parametrize("ending", ["reset", "goaway", "hangs"])
@scenario
async def test_request_without_an_answer_is_unknown(ending: str) -> None:
    """A stream that is reset, a connection that goes away, silence: the body was sent, so nobody knows, and nothing sends it again."""
    async with Http2Api(Step(ending=ending)) as api:
        sender = client(api.base_url, seconds=3 if ending == "hangs" else 30)
        outcome = await sender.post([PAYLOAD])
        after = await sender.post([PAYLOAD])
        await sender.close()

    assert isinstance(outcome, Unknown)
    assert isinstance(after, Answer)
    assert len(api.bodies) == 2


@scenario
async def test_http_1_is_spoken_with_who_speaks_nothing_else() -> None:
    """An https host without h2 is not sent a byte of it: this one hangs up, which is no answer."""
    async with Http2Api(protocols=("http/1.1",)) as api:
        sender = client(api.base_url)
        outcome = await sender.post([PAYLOAD])
        await sender.close()

    assert isinstance(outcome, Unknown)
    assert api.protocols == ["http/1.1"]
    assert api.bodies == []


@scenario
async def test_unknown_authority_is_no_connection() -> None:
    """A certificate that nobody vouches for: nothing was sent."""
    async with Http2Api() as api:
        sender = client(api.base_url, trusted=False)
        outcome = await sender.post([PAYLOAD])
        await sender.close()

    assert isinstance(outcome, Deferred)
    assert outcome.reason == "connect"
    assert api.bodies == []


@scenario
async def test_the_whole_way_over_http_2(tmp_path: Path) -> None:
    """A dispatcher in trouble and out of it again: all is sent, and twice only what had no answer."""
    subjects = [f"m{number}" for number in range(50)]
    steps = [Step(), Step(ending="reset"), Step(status=503, accept=False), Step(ending="goaway", accept=False)]
    async with Http2Api(*steps) as api, opened(tmp_path) as spool:
        await spool.put(mails(*subjects))
        used = account(api.base_url, max_messages_per_request=5, max_requests_in_flight=2)
        async with dispatching(spool, used, settings=quick()) as relay:
            records = await relay.finished()
            maybe_twice = relay.metric("qboxrelay_maybe_duplicates_total")

    assert set(states(records, subjects)) == {State.SENT.value}
    assert set(api.accepted) == set(subjects)
    assert api.accepted.total() - len(subjects) <= maybe_twice
