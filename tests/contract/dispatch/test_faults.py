"""One test for each way an API, or the way to it, can fail: what is sent how often, and what is said of it."""

import gzip
import json
import socket
from collections import Counter
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from qboxrelay.model.submission import Submission
from qboxrelay.qboxmail.token import FileToken, FixedToken
from qboxrelay.settings.types import Secret
from tests.contract.dispatch.harness import TOKEN, account, dispatching, mails, opened, quick, scenario, states, until
from tests.support.scripted_api import ScriptedApi, Step, documented


@scenario
async def test_no_connection_is_never_a_duplicate(tmp_path: Path) -> None:
    """Connection refused: nothing was sent, so the mail is deferred, and sent once when the API is back."""
    api = ScriptedApi()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        api.port = probe.getsockname()[1]
    async with opened(tmp_path) as spool, dispatching(spool, account(api.base_url)) as relay:
        await spool.put(mails("a"))
        await until(lambda: relay.happened("qboxrelay_attempts_total", 2, outcome="deferred"))
        assert relay.dispatcher.status()
        async with api:
            records = await relay.finished()

    assert states(records, ["a"]) == ["sent"]
    assert api.accepted == {"a": 1}
    assert relay.metric("qboxrelay_attempts_total", outcome="unknown") == 0


@pytest.mark.parametrize("base_url", ["http://no-such-host.invalid/v1", "https://{plain}/v1"])
@scenario
async def test_unreachable_is_deferred(base_url: str, tmp_path: Path) -> None:
    """A name that does not exist, and a server that does not speak TLS: deferred, with words that say why."""
    async with ScriptedApi() as api:
        url = base_url.format(plain=f"127.0.0.1:{api.port}")
        async with opened(tmp_path) as spool, dispatching(spool, account(url)) as relay:
            await spool.put(mails("a"))
            await until(lambda: relay.happened("qboxrelay_attempts_total", 1, outcome="deferred"))
            record = (await relay.records())["a"]
    assert record.reason == "connect"
    assert record.text
    assert not api.accepted


@scenario
async def test_proxy_that_refuses(tmp_path: Path) -> None:
    """407 from a proxy: the configuration is wrong, nothing was sent, the mail waits."""
    async with ScriptedApi(*[Step(status=407)] * 3) as proxy:
        used = account("http://api.invalid/v1", proxy=f"http://127.0.0.1:{proxy.port}")
        async with opened(tmp_path) as spool, dispatching(spool, used) as relay:
            await spool.put(mails("a"))
            records = await relay.finished()
    assert proxy.requests[0].line.startswith("POST http://api.invalid/v1/send ")
    assert proxy.accepted == {"a": 1}
    assert states(records, ["a"]) == ["sent"]


@scenario
async def test_connection_closed_as_the_request_goes_out(tmp_path: Path) -> None:
    """A kept connection that the peer closes under the request: unknown, and no silent replay inside the HTTP library."""
    async with (
        ScriptedApi(Step(accept=True), Step(ending="after_body", accept=True)) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url), settings=quick(unknown_outcome="hold")) as relay,
    ):
        await spool.put(mails("first"))
        await relay.finished()
        await spool.put(mails("second"))
        records = await relay.finished()
    assert api.connections == 1
    assert len(api.requests) == 2
    assert states(records, ["first", "second"]) == ["sent", "held"]


@scenario
async def test_connection_reset_while_the_body_goes_out(tmp_path: Path) -> None:
    """A large body is cut off in its middle: unknown, because nobody knows what the other side made of it."""
    async with (
        ScriptedApi(Step(ending="before_body")) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url)) as relay,
    ):
        await spool.put([large_mail("large", 8_000_000)])
        records = await relay.finished()
    assert states(records, ["large"]) == ["sent"]
    assert api.accepted == {"large": 1}
    assert relay.metric("qboxrelay_attempts_total", outcome="unknown") == 1


@scenario
async def test_accepted_with_a_time_to_wait(tmp_path: Path) -> None:
    """202 with Retry-After is accepted all the same: nothing is sent again, and nobody waits."""
    settings = quick(max_retry_after="1h")
    async with (
        ScriptedApi(Step(accept=True, headers={"Retry-After": "3600"})) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url), settings=settings) as relay,
    ):
        await spool.put(mails("a"))
        await relay.finished()
        await spool.put(mails("b"))
        records = await relay.finished()
    assert states(records, ["a", "b"]) == ["sent", "sent"]
    assert api.accepted == {"a": 1, "b": 1}


@scenario
async def test_header_without_an_end(tmp_path: Path) -> None:
    """A header beyond all measure is not read to its end: no answer, so unknown."""
    async with (
        ScriptedApi(Step(accept=True, headers={"X-Junk": "x" * 1_000_000})) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url), settings=quick(unknown_outcome="hold")) as relay,
    ):
        await spool.put(mails("a"))
        records = await relay.finished()
    assert states(records, ["a"]) == ["held"]
    assert api.accepted == {"a": 1}


@pytest.mark.parametrize("ending", ["endless", "drips"])
@scenario
async def test_answer_without_an_end(ending: str, tmp_path: Path) -> None:
    """An answer that never ends is cut off by size or by the deadline; other mail is not held up by it."""
    steps = [Step(ending=ending, accept=True, headers={"Content-Length": "10000"} if ending == "drips" else {})]
    async with (
        ScriptedApi(*steps) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url)) as relay,
    ):
        await spool.put(mails("slow"))
        await until(lambda: relay.requests(api, 1))
        await spool.put(mails("quick"))
        records = await relay.finished()
    assert states(records, ["slow", "quick"]) == ["sent", "sent"]
    assert api.accepted == {"slow": 2, "quick": 1}


@scenario
async def test_status_counts_although_its_body_never_ends(tmp_path: Path) -> None:
    """A 503 with an endless body is a 503: deferred, not unknown."""
    async with (
        ScriptedApi(Step(status=503, ending="endless")) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url), settings=quick(unknown_outcome="hold")) as relay,
    ):
        await spool.put(mails("a"))
        records = await relay.finished()
    assert states(records, ["a"]) == ["sent"]
    assert relay.metric("qboxrelay_attempts_total", outcome="deferred") == 1


@scenario
async def test_compressed_answers(tmp_path: Path) -> None:
    """An answer that is compressed unasked is read; a bomb is cut off, and its outcome is unknown."""
    fine = gzip.compress(documented(202, [{"subject": "a", "to": ["a@example.net"]}]))
    bomb = gzip.compress(b"[" * 50_000_000)
    headers = {"Content-Encoding": "gzip"}
    steps = [Step(body=fine, headers=headers, accept=True), Step(body=bomb, headers=headers)]
    async with (
        ScriptedApi(*steps) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url)) as relay,
    ):
        await spool.put(mails("a"))
        await relay.finished()
        await spool.put(mails("b"))
        records = await relay.finished()
    assert records["a"].message_id == "a@id"
    assert api.accepted == {"a": 1, "b": 1}
    assert relay.metric("qboxrelay_attempts_total", outcome="unknown") == 1


@pytest.mark.parametrize(
    "value",
    ["0", "1", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-5", "9" * 5000, "Mon, 99 Foo 10000 99:99:99 +9999", ""],
)
@scenario
async def test_retry_after(value: str, tmp_path: Path) -> None:
    """Retry-After as seconds, a date, nonsense or ten thousand years: waited for, capped, and nothing fails because of it."""
    settings = quick(max_retry_after="30ms", max_age="0s")
    async with (
        ScriptedApi(*[Step(status=429, headers={"Retry-After": value})] * 4) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url), settings=settings) as relay,
    ):
        await spool.put(mails("a", "b"))
        records = await relay.finished()
    assert states(records, ["a", "b"]) == ["sent", "sent"]
    assert api.accepted == {"a": 1, "b": 1}


@scenario
async def test_poison_among_many(tmp_path: Path) -> None:
    """400 for one of forty: it alone fails, with the API's own words; the others are accepted once, within a bounded number of requests."""
    subjects = [f"m{number}" for number in range(40)]
    async with ScriptedApi(Step(status=400, subject="m17")) as api, opened(tmp_path) as spool:
        await spool.put(mails(*subjects))
        async with dispatching(spool, account(api.base_url)) as relay:
            records = await relay.finished()
    assert Counter(states(records, subjects)) == {"sent": 39, "failed": 1}
    assert api.accepted == Counter({subject: 1 for subject in subjects if subject != "m17"})
    assert (records["m17"].text, records["m17"].request_id) == ("slug_400: words for 400", "r-1")
    assert len(api.requests) <= 2 * 6 + 1


@pytest.mark.parametrize("status", [401, 403])
@scenario
async def test_refused_token_pauses_the_account(status: int, tmp_path: Path) -> None:
    """A refused token bounces nothing: the account pauses, is probed with one mail, and goes on with a changed token file."""
    file = tmp_path / "token"
    file.write_text("old\n")
    async with ScriptedApi(*[Step(status=status)] * 2) as api, opened(tmp_path) as spool:
        settings = quick(account_pause="1h", max_retry_after="1h")
        async with dispatching(spool, account(api.base_url), settings=settings, token=FileToken(file)) as relay:
            await spool.put(mails("a", "b", "c"))
            await until(lambda: relay.happened("qboxrelay_account_paused", 1, condition="configuration"))
            api.script()
            assert (await relay.waiting()) == 3
            file.write_text("newer\n")
            await until(lambda: relay.requests(api, 2))
            file.write_text("newest\n")
            # A mail that was forbidden alone waits a little longer than the pause.
            expected = ["queued", "sent", "sent"] if status == 403 else ["sent"] * 3
            await until(lambda: relay.happened("qboxrelay_attempts_total", expected.count("sent"), outcome="accepted"))
            records = await relay.records()
    assert sorted(states(records, ["a", "b", "c"])) == expected
    assert [len(request.subjects) for request in api.requests[1:3]] == [1, 1]
    assert [request.headers["authorization"] for request in api.requests[:3]] == [
        "Bearer old",
        "Bearer newer",
        "Bearer newest",
    ]
    assert relay.metric("qboxrelay_account_paused", condition="configuration") == 0


@pytest.mark.parametrize("text", ["one\ntwo", "zwölf", ""])
@scenario
async def test_token_that_cannot_be_one_is_not_shown(text: str, tmp_path: Path) -> None:
    """A token file with two lines, odd letters or nothing: the account waits, and no part of the token is in the log or the spool."""
    async with ScriptedApi() as api, opened(tmp_path) as spool:
        file = tmp_path / "token"
        file.write_text(text)
        with capture_logs() as logs:
            async with dispatching(spool, account(api.base_url), token=FileToken(file)) as relay:
                await spool.put(mails("a"))
                await until(lambda: relay.happened("qboxrelay_account_paused", 1, condition="configuration"))
                record = (await relay.records())["a"]
                shown = f"{logs} {record} {relay.dispatcher.status()}"
    assert not api.requests
    assert not text or text not in shown
    assert "two" not in shown.replace(str(tmp_path), "")


@scenario
async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    """A redirect is a wrong configuration: the token never goes to another host, a POST never becomes a GET."""
    async with ScriptedApi() as elsewhere:
        answers = [
            Step(status=code, headers={"Location": f"{elsewhere.base_url}/send"}) for code in (301, 302, 303, 307, 308)
        ]
        async with (
            ScriptedApi(*answers) as api,
            opened(tmp_path) as spool,
            dispatching(spool, account(api.base_url)) as relay,
        ):
            await spool.put(mails("a"))
            records = await relay.finished()
    assert not elsewhere.requests
    assert states(records, ["a"]) == ["sent"]
    assert api.accepted == {"a": 1}


@pytest.mark.parametrize("status", [401, 413, 503])
@scenario
async def test_answer_before_the_body_was_read(status: int, tmp_path: Path) -> None:
    """An API that answers without reading a large body is believed by its status."""
    large = large_mail("large", 8_000_000)
    async with (
        ScriptedApi(Step(status=status, ending="early")) as api,
        opened(tmp_path) as spool,
        dispatching(spool, account(api.base_url)) as relay,
    ):
        await spool.put([large])
        records = await relay.finished()
    known = states(records, ["large"]) == (["failed"] if status == 413 else ["sent"])
    # Whether the answer or the reset reaches the client first is the network's choice; with a reset the outcome is unknown.
    assert known or relay.metric("qboxrelay_attempts_total", outcome="unknown") == 1
    assert api.accepted == ({} if states(records, ["large"]) == ["failed"] else {"large": 1})


@scenario
async def test_large_body_arrives_whole(tmp_path: Path) -> None:
    """A body that goes out in slices is byte-equal to the stored JSON, with its length announced."""
    large = large_mail("large", 3_000_000)
    async with ScriptedApi() as api, opened(tmp_path) as spool, dispatching(spool, account(api.base_url)) as relay:
        await spool.put([large])
        await relay.finished()
    assert api.requests[0].body == b'{"messages":[' + large.payload + b"]}"


@scenario
async def test_too_large_together(tmp_path: Path) -> None:
    """413 for several: smaller requests take them all; 413 for one alone: refused for good."""
    async with ScriptedApi(Step(status=413), Step(status=413)) as api, opened(tmp_path) as spool:
        await spool.put(mails("a", "b", "c", "d"))
        async with dispatching(spool, account(api.base_url, max_requests_in_flight=1)) as relay:
            records = await relay.finished()
            sizes = [len(request.subjects) for request in api.requests]
            assert states(records, ["a", "b", "c", "d"]) == ["sent"] * 4
            assert sizes[:2] == [4, 2]
            assert max(sizes[2:]) <= 2
            api.script(Step(status=413))
            await spool.put(mails("alone"))
            records = await relay.finished()
    assert states(records, ["alone"]) == ["failed"]


@scenario
async def test_quota_that_does_not_hold_all(tmp_path: Path) -> None:
    """A quota refusal is tried with less, down to one mail; then the account pauses by that name, and nothing fails."""
    quota = json.dumps({"error_code": 429, "message": "daily quota exceeded", "error": "quota_exceeded"}).encode()
    async with ScriptedApi(*[Step(status=429, body=quota)] * 3) as api, opened(tmp_path) as spool:
        await spool.put(mails("a", "b", "c", "d"))
        settings = quick(quota_pause="100ms")
        async with dispatching(spool, account(api.base_url, max_requests_in_flight=1), settings=settings) as relay:
            await until(lambda: relay.happened("qboxrelay_account_paused", 1, condition="quota"))
            records = await relay.finished()
    assert [len(request.subjects) for request in api.requests[:4]] == [4, 2, 1, 1]
    assert states(records, ["a", "b", "c", "d"]) == ["sent"] * 4
    assert api.accepted.total() == 4


@scenario
async def test_entry_refused_in_a_202(tmp_path: Path) -> None:
    """One matched entry of a 202 carries an error: its mail fails with the entry's words, the others are sent with their own ids."""
    entries = [
        {"error_code": 0, "message_id": "id-c", "to": "C@Example.net"},
        {"error_code": 400, "message": "no such sender", "error": "bad_sender", "to": "b@example.net"},
        {"error_code": 0, "message_id": "id-a", "to": "a@example.net"},
    ]
    body = json.dumps({"error_code": 0, "request_id": "r-9", "messages": entries}).encode()
    async with ScriptedApi(Step(body=body)) as api, opened(tmp_path) as spool:
        await spool.put(mails("a", "b", "c"))
        async with dispatching(spool, account(api.base_url)) as relay:
            records = await relay.finished()
    assert states(records, ["a", "b", "c"]) == ["sent", "failed", "sent"]
    assert [records[name].message_id for name in "abc"] == ["id-a", None, "id-c"]
    assert {record.request_id for record in records.values()} == {"r-9"}
    assert "no such sender" in (records["b"].text or "")
    assert len(api.requests) == 1


@scenario
async def test_entry_refused_that_could_be_anyone(tmp_path: Path) -> None:
    """A refusal that names nobody: those it may mean are held for an operator, not lost and not sent twice."""
    entries = [{"error_code": 0, "message_id": "id-a", "to": "a@example.net"}, {"error_code": 400, "message": "no"}]
    body = json.dumps({"error_code": 0, "request_id": "r-9", "messages": entries}).encode()
    async with ScriptedApi(Step(body=body)) as api, opened(tmp_path) as spool:
        await spool.put(mails("a", "b", "c"))
        async with dispatching(spool, account(api.base_url)) as relay:
            records = await relay.finished()
    assert states(records, ["a", "b", "c"]) == ["sent", "held", "held"]
    assert len(api.requests) == 1


@scenario
async def test_given_up_at_its_age(tmp_path: Path) -> None:
    """An API that is down for longer than the maximum age: each mail fails visibly after its attempts, none vanishes."""
    async with ScriptedApi(*[Step(status=503)] * 50) as api, opened(tmp_path) as spool:
        await spool.put(mails("a", "b"))
        async with dispatching(spool, account(api.base_url), settings=quick(max_age="1ms")) as relay:
            records = await relay.finished()
    assert states(records, ["a", "b"]) == ["failed", "failed"]
    assert all("given up" in (record.text or "") for record in records.values())
    assert not api.accepted


@scenario
async def test_nothing_secret_is_logged(tmp_path: Path) -> None:
    """Neither the token nor a body is in any line, whatever goes wrong."""
    steps = [Step(ending="after_body"), Step(status=401), Step(status=400), Step(ending="in_status"), Step(status=500)]
    with capture_logs() as logs:
        async with (
            ScriptedApi(*steps) as api,
            opened(tmp_path) as spool,
            dispatching(spool, account(api.base_url), token=FixedToken(Secret(TOKEN))) as relay,
        ):
            await spool.put(mails("a", "b"))
            await relay.finished()
    assert TOKEN not in str(logs)
    assert "text_body" not in str(logs)
    assert {line["event"] for line in logs} >= {"submission.sent", "request.deferred", "attempt.maybe_duplicate"}


def large_mail(subject: str, size: int) -> Submission:
    (small,) = mails(subject)
    fields = {**orjson.loads(small.payload), "text_body": "x" * size}
    return type(small)(
        id=small.id,
        transaction_id=small.transaction_id,
        account=small.account,
        client_key=small.client_key,
        payload=orjson.dumps(fields),
        received_at=small.received_at,
        envelope_sender=small.envelope_sender,
        recipients=small.recipients,
        subject=subject,
    )
