"""Admission over a real spool: what the end of DATA is answered, and what is stored then."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.intake.admission import Intake
from qboxrelay.intake.decide import Rules
from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.envelope import Client, Envelope, Notify, Recipient
from qboxrelay.settings.schema import MappingSettings, Settings, SpoolSettings
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.telemetry.metrics import IntakeMetrics
from tests.support import mails

T = TypeVar("T")

ID = "01TESTTESTTESTTESTTESTTEST"


def envelope(
    *recipients: str, sender: str | None = "ann@example.com", notify: frozenset[Notify] = frozenset()
) -> Envelope:
    return Envelope(
        transaction_id=ID,
        sender=address(sender) if sender else None,
        recipients=tuple(Recipient(address(text), notify) for text in recipients or ("bob@example.net",)),
        client=Client(address="192.0.2.1", helo="app.example", listener="smtp", user="erp"),
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


def address(text: str) -> Address:
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


def with_intake(
    directory: Path, work: Callable[[Intake, SqliteSpool], Awaitable[T]], settings: Settings | None = None
) -> T:
    async def main() -> T:
        used = settings or Settings()
        spool = await SqliteSpool.open(directory / "spool.db", settings=used.spool, clock=SystemClock())
        intake = Intake(spool=spool, rules=Rules(used), metrics=IntakeMetrics(CollectorRegistry()))
        try:
            return await work(intake, spool)
        finally:
            intake.close()
            await spool.close()

    return asyncio.run(main())


def test_accepted_mail_is_in_the_spool_with_its_facts(tmp_path: Path) -> None:
    """250 names the id; the spool holds the finished JSON and who handed it in."""

    async def work(intake: Intake, spool: SqliteSpool) -> None:
        reply = await intake.admit(envelope(), mails.simple("stored").as_bytes())
        assert str(reply) == f"250 2.0.0 Ok: queued as {ID}"
        (record,) = await spool.find(ID)
        assert (record.id, record.account, record.client) == (f"{ID}-1", "default", "erp")
        assert record.recipients == ("bob@example.net",)
        assert record.from_address == "ann@example.com"

    with_intake(tmp_path, work)


def test_large_mail_is_mapped_like_a_small_one(tmp_path: Path) -> None:
    """A mail that is mapped in a thread becomes the same JSON as by the rules alone."""
    content = mails.rich("large", mails.pattern(300_000)).as_bytes()

    async def work(intake: Intake, spool: SqliteSpool) -> bytes:
        assert (await intake.admit(envelope(), content)).accepted
        batch = await spool.claim("default", max_messages=1, max_bytes=10**7, lease=SettingsLease)
        assert batch is not None
        return batch.submissions[0].payload

    stored = with_intake(tmp_path, work)

    assert stored == Rules(Settings()).decide(envelope(), content).submissions[0].payload
    assert json.loads(stored)["subject"] == "large"


SettingsLease = Settings().delivery.lease


def test_refusal_stores_nothing(tmp_path: Path) -> None:
    """A message over what a request can carry is refused for good, and nothing of it is kept."""
    tiny = Settings.model_validate({"accounts": [{"max_request_bytes": 2000}]})

    async def work(intake: Intake, spool: SqliteSpool) -> None:
        reply = await intake.admit(envelope(), mails.simple("big", body="x" * 5000).as_bytes())
        assert (reply.code, reply.enhanced) == (552, "5.3.4")
        assert await spool.latest() == []

    with_intake(tmp_path, work, tiny)


def test_full_spool_is_a_temporary_refusal(tmp_path: Path) -> None:
    """452 4.3.1 when a limit of the spool is reached; what is in it stays."""
    small = Settings(spool=SpoolSettings(max_messages=1))

    async def work(intake: Intake, spool: SqliteSpool) -> None:
        assert (await intake.admit(envelope(), mails.simple("one").as_bytes())).accepted
        reply = await intake.admit(envelope(), mails.simple("two").as_bytes())
        assert (reply.code, reply.enhanced) == (452, "4.3.1")
        assert len(await spool.latest()) == 1

    with_intake(tmp_path, work, small)


def test_broken_spool_is_a_temporary_refusal(tmp_path: Path) -> None:
    """451 4.3.0, without a word of what broke, when the spool cannot commit."""

    async def work(intake: Intake, spool: SqliteSpool) -> None:
        await spool._writer.close()
        reply = await intake.admit(envelope(), mails.simple("late").as_bytes())
        assert (reply.code, reply.enhanced) == (451, "4.3.0")
        assert "closed" not in reply.text

    with_intake(tmp_path, work)


def test_notify_never_is_kept_for_the_notices(tmp_path: Path) -> None:
    """A submission whose recipients all asked NOTIFY=NEVER says so in the spool (RFC 3461)."""
    rules = Rules(Settings(mapping=MappingSettings(max_recipients_per_submission=1)))
    never = rules.decide(envelope(notify=frozenset({Notify.NEVER})), mails.simple("never").as_bytes())
    default = rules.decide(envelope(), mails.simple("default").as_bytes())

    assert [submission.notify_never for submission in never.submissions] == [True]
    assert [submission.notify_never for submission in default.submissions] == [False]


def test_the_reply_is_written_as_any_other(tmp_path: Path) -> None:
    """Its octets are put together beforehand; they say what it says."""

    async def work(intake: Intake, _spool: SqliteSpool) -> None:
        reply = await intake.admit(envelope(), mails.simple("taken").as_bytes())
        assert reply.line == f"{reply}\r\n".encode()

    with_intake(tmp_path, work)


@pytest.mark.parametrize("sender", ["Ann@Example.com", None, '"a b"@example.com'])
@pytest.mark.parametrize(
    "recipients",
    [
        ["bob@example.net"],
        ["BOB@example.NET"],
        ["blind@example.net"],
        ['"b o"@example.net'],
        ["blind@example.net", "Bob@example.net"],
    ],
)
def test_the_closing_line_names_the_envelope(tmp_path: Path, sender: str | None, recipients: list[str]) -> None:
    """As the client wrote it and in its order, however the header writes it, and whether there is one recipient or more."""

    async def work(intake: Intake, _spool: SqliteSpool) -> None:
        with capture_logs() as logs:
            await intake.admit(envelope(*recipients, sender=sender), mails.simple("named").as_bytes())
        (line,) = [fields for fields in logs if fields["event"] == "mail.accepted"]
        assert (line["sender"], line["recipients"]) == (sender or "<>", recipients)
        assert list(line)[:11] == [
            "transaction", "account", "sender", "recipients", "client", "user", "listener", "bytes", "submissions",
            "sender_rule", "losses",
        ]  # fmt: skip

    with_intake(tmp_path, work)
