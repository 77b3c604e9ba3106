"""Notices over a real spool and a real API: who is told of what, once, whatever happens in between."""

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from email.parser import Parser
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.dispatch.notice import CLIENT_KEY, Author
from qboxrelay.dispatch.notice_text import Report, Told
from qboxrelay.dispatch.notices import Notices
from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.dsn import Asked, write_asked
from qboxrelay.model.envelope import Notify, Recipient
from qboxrelay.model.submission import NoticeKind, State, Submission
from qboxrelay.settings.schema import NoticeSettings
from qboxrelay.spool.port import Record, Spool, SpoolError, Untold
from qboxrelay.telemetry.metrics_dispatch import NoticeMetrics
from tests.contract.dispatch.harness import Relay, account, dispatching, mails, opened, quick, scenario, until
from tests.support.scripted_api import ScriptedApi, Step

BAD = Step(status=400, subject="bad")
"""The API's last word on every request that holds a mail with this subject."""
MOMENT = timedelta(milliseconds=1)


class Telling:
    """A relay that tells people."""

    def __init__(self, spool: Spool, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        chosen = {"to": "sender", "from_address": "postmaster@example.com", **settings}
        author = Author(
            settings=NoticeSettings.model_validate(chosen),
            hostname="relay.example",
            account="default",
            max_age=timedelta(days=2),
        )
        self.notices = Notices(
            spool=spool, author=author, clock=SystemClock(), metrics=NoticeMetrics(self.registry), gather=MOMENT
        )
        self._spool = spool

    def relay(self, api: ScriptedApi, **parts: Any) -> AbstractAsyncContextManager[Relay]:
        return dispatching(self._spool, account(api.base_url), notices=self.notices, **parts)

    def count(self, kind: str, outcome: str) -> float:
        return self.registry.get_sample_value("qboxrelay_notices_total", {"kind": kind, "outcome": outcome}) or 0.0

    async def counted(self, kind: str, outcome: str, value: float = 1) -> bool:
        return self.count(kind, outcome) >= value


def messages(api: ScriptedApi, subject: str) -> list[dict[str, Any]]:
    """What the API was sent whose subject begins so."""
    sent = [message for request in api.requests for message in json.loads(request.body)["messages"]]
    return [message for message in sent if message["subject"].startswith(subject)]


def fields(message: dict[str, Any]) -> list[dict[str, str]]:
    """The blocks of the delivery status."""
    (attachment,) = message["attachments"]
    assert (attachment["filename"], attachment["disposition"]) == ("delivery-status.txt", "attachment")
    text = base64.b64decode(attachment["content"]).decode()
    return [dict(Parser().parsestr(block).items()) for block in text.split("\r\n\r\n")]


async def failed(spool: Spool, count: int = 1) -> list[Record]:
    """Wait until so many have failed."""

    async def reached() -> bool:
        return len(await spool.latest(state=State.FAILED)) >= count

    await until(reached)
    return await spool.latest(state=State.FAILED)


@scenario
async def test_the_sender_is_told_of_a_failure(tmp_path: Path) -> None:
    """A mail that people can read and that programs can read, in the thread of the one that failed, from the configured address."""
    (mail,) = mails("bad")
    mail = replace(mail, message_id_header="<1@example.com>", recipients=("bob@example.net", "zoë@example.net"))
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
        telling = Telling(spool)
        async with telling.relay(api) as relay:
            await spool.put([mail])
            await until(lambda: _sent(api, "Undelivered: bad", 1))
            await relay.finished()
        (told,) = messages(api, "Undelivered")
        (record,) = await spool.find(told["headers"]["X-Qboxrelay-Id"])
    status, first, second = fields(told)

    assert told["subject"] == "Undelivered: bad"
    assert told["from"] == {"address": "postmaster@example.com", "name": "Mail relay"}
    assert told["to"] == [{"address": "ann@example.com"}]
    assert {name: value for name, value in told["headers"].items() if name != "X-Qboxrelay-Id"} == {
        "Auto-Submitted": "auto-replied",
        "In-Reply-To": "<1@example.com>",
        "References": "<1@example.com>",
    }
    for words in ("could not be delivered", "bob@example.net", "slug_400: words for 400", "r-1", mail.transaction_id):
        assert words in told["text_body"]
    assert (status["Reporting-MTA"], status["X-Qboxrelay-Id"]) == ("dns; relay.example", mail.transaction_id)
    assert (first["Final-Recipient"], second["Final-Recipient"]) == (
        "rfc822; bob@example.net",
        "utf-8; zoë@example.net",
    )
    assert (first["Action"], first["Status"]) == ("failed", "5.0.0")
    assert first["Diagnostic-Code"] == "x-qboxmail; slug_400: words for 400 (request r-1)"
    assert (record.state, record.envelope_sender, record.client) == (State.SENT, "", "")
    assert telling.count("failure", "queued") == 1


@scenario
async def test_who_gave_up_says_so(tmp_path: Path) -> None:
    """A mail that is too old is told as one whose time ran out; where an answer was missing, that it may have arrived."""
    (mail,) = mails("bad")
    old = replace(mail, received_at=mail.received_at - timedelta(days=3))
    steps = [Step(status=503), Step(status=503), Step(ending="after_body")]
    settings = quick(breaker_failures=100)
    async with (
        ScriptedApi(*steps) as api,
        opened(tmp_path) as spool,
        Telling(spool).relay(api, settings=settings) as relay,
    ):
        await spool.put([old])
        await until(lambda: _sent(api, "Undelivered: bad", 1))
        await relay.finished()
    (told,) = messages(api, "Undelivered")

    assert "given up after" in told["text_body"]
    assert "may have arrived all the same" in told["text_body"]
    assert fields(told)[1]["Status"] == "5.4.7"


@scenario
async def test_one_address_may_hear_of_everything(tmp_path: Path) -> None:
    """A fixed address is told instead of the senders; so is of mail whose sender nobody could reach."""
    mine, local = mails("bad", "bad")
    local = replace(local, envelope_sender="root@localhost")
    async with (
        ScriptedApi(BAD) as api,
        opened(tmp_path) as spool,
        Telling(spool, to="ops@example.com").relay(api) as relay,
    ):
        await spool.put([mine, local])
        await failed(spool, 2)
        await until(lambda: _sent(api, "Undelivered: bad", 2))
        await relay.finished()
    assert [message["to"] for message in messages(api, "Undelivered")] == [[{"address": "ops@example.com"}]] * 2


@scenario
async def test_nobody_is_told_of_what_must_not_be_answered(tmp_path: Path) -> None:
    """The null sender, NOTIFY=NEVER, a notice, a sender that nobody could reach: logged and counted, never told."""
    null, never, notice, local = mails("bad", "bad", "bad", "bad")
    quiet = [
        replace(null, envelope_sender=""),
        replace(never, notify_never=True),
        replace(notice, is_notice=True),
        replace(local, envelope_sender="root@localhost"),
    ]
    with capture_logs() as logs:
        async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
            telling = Telling(spool)
            async with telling.relay(api) as relay:
                await spool.put(quiet)
                await relay.finished()
                assert await spool.addressees() == []
            assert {record.state for record in await spool.latest()} == {State.FAILED}
    reasons = ["null_sender", "never", "notice", "address"]

    assert sorted(line["reason"] for line in logs if line["event"] == "notice.skipped") == sorted(reasons)
    assert [telling.count("failure", reason) for reason in reasons] == [1, 1, 1, 1]
    assert messages(api, "Undelivered") == []


@scenario
async def test_a_notice_that_fails_ends_there(tmp_path: Path) -> None:
    """The API refuses the notice, too: it fails, and nobody is told of it."""
    async with ScriptedApi(BAD, Step(status=400, subject="Undelivered: bad")) as api, opened(tmp_path) as spool:
        telling = Telling(spool)
        async with telling.relay(api):
            await spool.put(mails("bad"))
            await failed(spool, 2)
            await until(lambda: telling.counted("failure", "notice"))
    assert len(messages(api, "Undelivered")) == 1


@scenario
async def test_off_is_nobody(tmp_path: Path) -> None:
    """Without notices a failure stands in the log and in the spool."""
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
        async with Telling(spool, to="off").relay(api) as relay:
            await spool.put(mails("bad"))
            await relay.finished()
        assert await spool.addressees() == []
    assert len(api.requests) == 1


@scenario
async def test_recipients_are_told_of_as_was_asked(tmp_path: Path) -> None:
    """RFC 3461: those with NOTIFY=NEVER or without FAILURE are left out, ENVID and ORCPT come back; all left out is no notice."""
    asked, silent = mails("bad", "bad")
    recipients = [
        Recipient(Address("a", "example.net"), frozenset({Notify.FAILURE}), "rfc822;orig+2Ba@example.org"),
        Recipient(Address("b", "example.net"), frozenset({Notify.NEVER})),
        Recipient(Address("c", "example.net")),
        Recipient(Address("d", "example.net"), frozenset({Notify.SUCCESS})),
    ]
    addresses = tuple(str(recipient.address) for recipient in recipients)
    asked = replace(asked, recipients=addresses, dsn=write_asked("QQ+2D1", recipients))
    silent = replace(silent, recipients=addresses[3:], dsn=write_asked(None, recipients[3:]))
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
        telling = Telling(spool)
        async with telling.relay(api) as relay:
            await spool.put([asked, silent])
            await until(lambda: telling.counted("failure", "never"))
            await until(lambda: _sent(api, "Undelivered: bad", 1))
            await relay.finished()
    (told,) = messages(api, "Undelivered")
    status, *blocks = fields(told)

    assert status["Original-Envelope-Id"] == "QQ-1"
    assert [block["Final-Recipient"] for block in blocks] == ["rfc822; a@example.net", "rfc822; c@example.net"]
    assert blocks[0]["Original-Recipient"] == "rfc822;orig+a@example.org"


@scenario
async def test_one_mail_is_one_notice(tmp_path: Path) -> None:
    """Submissions of one transaction that fail together are told together."""
    first, second = mails("bad", "bad")
    parts = [
        replace(first, recipients=("a@example.net",)),
        replace(second, id=f"{first.transaction_id}-2", recipients=("b@example.net",)),
    ]
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:

        def told() -> list[int]:
            """Of how many recipients each notice tells."""
            return [len(fields(message)) - 1 for message in messages(api, "Undelivered")]

        async def all_are_told() -> bool:
            return sum(told()) == len(parts)

        await spool.put(parts)
        telling = Telling(spool)
        async with telling.relay(api) as relay:
            await failed(spool, 2)
            # The second may be told of by itself, and later.
            await until(all_are_told)
            await relay.finished()

    assert told() in ([2], [1, 1])


@scenario
async def test_more_than_the_limit_is_a_digest(tmp_path: Path) -> None:
    """An address gets so many notices in an hour: the last one lists all the rest, and then it waits."""
    subjects = ["bad"] * 7
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
        telling = Telling(spool, max_per_hour=3)
        async with dispatching(spool, account(api.base_url)) as relay:
            await spool.put(mails(*subjects))
            await relay.finished()
        await _mark_all(spool)
        async with telling.relay(api) as relay:
            await until(lambda: telling.counted("digest", "queued"))
            await relay.finished()
            await spool.put(mails("bad"))
            await failed(spool, 8)
            assert await spool.addressees() == ["ann@example.com"]
            await relay.finished()
    (digest,) = messages(api, "5 mails undelivered")

    assert len(messages(api, "Undelivered")) == 2
    assert digest["text_body"].count("slug_400: words for 400") == 5
    assert "attachments" not in digest
    assert telling.count("failure", "queued") == 2


async def _mark_all(spool: Spool) -> None:
    """What a relay with notices leaves when it is killed between recording failures and telling of them."""
    writer = cast("Any", spool)._writer
    await writer.run(
        lambda transaction: transaction.connection.execute(
            "UPDATE submissions SET tell = envelope_sender, notice = 'failure' WHERE state = 'failed'"
        )
    )


@scenario
async def test_a_delay_is_told_once_and_then_the_failure(tmp_path: Path) -> None:
    """A try that fails when the mail is old enough is told, the next ones are not; what it comes to in the end is."""
    (mail,) = mails("slow")
    old = replace(mail, received_at=mail.received_at - timedelta(hours=5))
    steps = [Step(status=503, subject="slow")]
    async with ScriptedApi(*steps) as api, opened(tmp_path) as spool:
        telling = Telling(spool, delay_after="4h")
        async with telling.relay(api, settings=quick(breaker_failures=1000)) as relay:
            await spool.put([old])
            await until(lambda: telling.counted("delay", "queued"))
            await until(lambda: relay.requests(api, 12))
            assert telling.count("delay", "queued") == 1
            api.stand(Step(status=503, subject="young"), Step(status=400, subject="slow"))
            await until(lambda: _sent(api, "Undelivered: slow", 1))
            await spool.put(mails("young"))

            async def tried_again() -> bool:
                return (await relay.records())["young"].attempts > 1

            await until(tried_again)
            api.stand()
            await relay.finished()
    *_, delayed = messages(api, "Delayed: slow")
    (told,) = messages(api, "Undelivered: slow")

    assert (api.accepted["Delayed: slow"], telling.count("delay", "queued")) == (1, 1)
    assert "still being tried" in delayed["text_body"]
    assert (fields(delayed)[1]["Action"], fields(delayed)[1]["Status"]) == ("delayed", "4.0.0")
    assert "Will-Retry-Until" in fields(delayed)[1]
    assert fields(told)[1]["Action"] == "failed"


@scenario
async def test_a_killed_relay_tells_after_its_start(tmp_path: Path) -> None:
    """Failures that were recorded and not told yet are told by the next start, each once however often it starts."""
    async with ScriptedApi(BAD) as api:
        async with opened(tmp_path) as spool, dispatching(spool, account(api.base_url)) as relay:
            await spool.put(mails("bad"))
            await relay.finished()
            await _mark_all(spool)
        for _ in range(2):
            async with opened(tmp_path) as spool:
                telling = Telling(spool)
                async with telling.relay(api) as relay:
                    await until(lambda spool=spool: _nobody_waits(spool))  # type: ignore[misc]
                    await relay.finished()
    assert len(messages(api, "Undelivered")) == 1


async def _nobody_waits(spool: Spool) -> bool:
    return not await spool.addressees()


class Broken:
    """A real spool that cannot tell, at first; None stands for mail that changed meanwhile."""

    def __init__(self, spool: Spool, *errors: Exception | None) -> None:
        self._spool = spool
        self._errors = list(errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    async def tell(self, address: str, told: Sequence[Untold], notice: Submission | None) -> bool:
        if self._errors:
            error = self._errors.pop(0)
            if error is None:
                return False
            raise error
        return await self._spool.tell(address, told, notice)


@scenario
async def test_trouble_with_the_spool_postpones_and_ends_nothing(tmp_path: Path) -> None:
    """A spool that fails, and a surprise: what is to be told stays marked, mail goes on, and later it is told."""
    with capture_logs() as logs:
        async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
            broken = cast("Spool", Broken(spool, SpoolError("disk full"), RuntimeError("bug")))
            telling = Telling(broken)
            async with telling.relay(api) as relay:
                await spool.put(mails("bad"))
                await until(lambda: _logged(logs, "notice.postponed"))
                await spool.put(mails("fine"))
                telling.notices.wake()
                await until(lambda: _logged(logs, "notice.crashed"))
                telling.notices.wake()
                await until(lambda: telling.counted("failure", "queued"))
                records = await relay.finished()
    assert records["fine"].state is State.SENT
    assert len(messages(api, "Undelivered")) == 1


class Unreadable(Broken):
    """A spool in which what one address is to be told of cannot be read."""

    async def untold(self, address: str, *, limit: int) -> list[Untold]:
        if address == "ann@example.com":
            raise RuntimeError("bug")
        return await self._spool.untold(address, limit=limit)


@scenario
async def test_a_surprise_about_one_address_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """Whoever comes after it, in whatever order, is told."""
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
        telling = Telling(cast("Spool", Unreadable(spool)))
        async with telling.relay(api):
            for sender in ("aaa@example.com", "ann@example.com", "zoe@example.com"):
                (mail,) = mails("bad")
                await spool.put([replace(mail, envelope_sender=sender)])
            await until(lambda: telling.counted("failure", "queued", 2))
            await until(lambda: _told(api, 2))
    assert {message["to"][0]["address"] for message in messages(api, "Undelivered")} == {
        "aaa@example.com",
        "zoe@example.com",
    }


async def _told(api: ScriptedApi, count: int) -> bool:
    return len(messages(api, "Undelivered")) >= count


@scenario
async def test_what_changed_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    """A notice that could not be stored, because its mail was sent or told of in between, is made anew from what is then there."""
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
        telling = Telling(cast("Spool", Broken(spool, None)))
        async with telling.relay(api) as relay:
            await spool.put(mails("bad"))
            await until(lambda: telling.counted("failure", "queued"))
            await relay.finished()
    assert len(messages(api, "Undelivered")) == 1


async def _sent(api: ScriptedApi, subject: str, count: int) -> bool:
    return api.accepted[subject] >= count


async def _logged(logs: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in logs)


@scenario
async def test_notices_wait_in_a_line_of_their_own(tmp_path: Path) -> None:
    """A flood of notices is one client's flood: an application's mail leaves within one request."""
    async with opened(tmp_path) as spool:
        author = Telling(spool).notices._author
        entry = Untold(
            key=1, id="T-1", transaction_id="T", notice=NoticeKind.FAILURE, received_at=SystemClock().now(),
            recipients=("b@example.net",), dsn="", subject="s", message_id_header="no id", tried_at=None, maybe_sent=False,
            reason="refused", text="", request_id=None,
        )  # fmt: skip
        report = Report(kind=NoticeKind.FAILURE, parts=(Told(entry=entry, asked=Asked(), recipients=entry.recipients),))
        made = [author.about_one(report, "ann@example.com", f"N{number}", SystemClock().now()) for number in range(20)]
        await spool.put(made)
        await spool.put(mails("reset"))
        batch = await spool.claim("default", max_messages=2, max_bytes=10**7, lease=timedelta(minutes=1))
        assert batch is not None
    assert {made[0].client_key} == {CLIENT_KEY}
    assert "reset" in [claimed.subject for claimed in batch.submissions]
    assert "In-Reply-To" not in json.loads(made[0].payload)["headers"]


@scenario
async def test_a_stop_does_not_wait_for_what_is_still_to_be_told(tmp_path: Path) -> None:
    """It is safe in the spool."""
    async with ScriptedApi(BAD) as api, opened(tmp_path) as spool:
        telling = Telling(spool, max_per_hour=1)
        async with telling.relay(api) as relay:
            await spool.put(mails("bad", "bad"))
            await relay.finished()
            stopping = asyncio.create_task(relay.dispatcher.drain(timedelta(seconds=30)))
            await asyncio.wait_for(stopping, 20)
