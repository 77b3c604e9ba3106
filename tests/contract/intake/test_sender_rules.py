"""Sender rules over the whole decision: what the API is told, what is counted, what `explain` would show."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.intake.admission import Intake
from qboxrelay.intake.decide import Decision, Rules
from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.envelope import Client, Envelope, Recipient
from qboxrelay.model.reply import Refusal
from qboxrelay.settings.schema import Settings
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.telemetry.metrics import IntakeMetrics

CRON = b"From: root (Cron Daemon)\r\nTo: ops@example.net\r\nSubject: backup\r\nX-Cron: 1\r\n\r\ndone\r\n"
MAIL = b"From: ann@example.com\r\n\r\nhello\r\n"
NOBODY = b"To: ops@example.net\r\nSubject: alarm\r\n\r\nhot\r\n"
LOCAL = {"name": "local", "envelope_from": ["*@localhost", "*@web01", "<>"], "from_address": "noreply@example.com"}


def envelope(sender: str | None = "root@web01", account: str | None = None) -> Envelope:
    return Envelope(
        transaction_id="01TESTTESTTESTTESTTESTTEST",
        sender=Address(*sender.split("@")) if sender else None,
        recipients=(Recipient(Address("ops", "example.net")),),
        client=Client(address="192.0.2.1", listener="smtp"),
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        account=account,
    )


def decide(rule: dict[str, Any], content: bytes, sender: str | None = "root@web01", **named: Any) -> Decision:
    settings = {"senders": [rule], "accounts": [{"domains": ["example.com"]}, {"name": "other"}]}
    return Rules(Settings.model_validate(settings)).decide(envelope(sender, **named), content)


def test_mail_of_a_local_program_is_sent_in_the_relays_name() -> None:
    """`root@web01` becomes the configured address, with the original in the name; nothing else changes; the domain's account sends it."""
    decision = decide(LOCAL, CRON)
    (submission,) = decision.submissions

    assert json.loads(submission.payload) == {
        "from": {"address": "noreply@example.com", "name": "root@web01"},
        "to": [{"address": "ops@example.net"}],
        "headers": {"X-Qboxrelay-Id": "01TESTTESTTESTTESTTESTTEST-1", "X-Cron": "1"},
        "subject": "backup",
        "text_body": "done\n",
    }
    assert (decision.account, decision.sender_rule, decision.rewritten) == ("default", "local", True)
    assert [loss.rule for loss in decision.losses] == ["bad_address", "from_rewritten"]
    assert submission.envelope_sender == "root@web01"
    assert submission.from_address == "noreply@example.com"


def test_mail_that_names_nobody_gets_a_sender() -> None:
    """Without a rule it is refused; a rule that gives it an address makes it a mail."""
    with pytest.raises(Refusal):
        decide({**LOCAL, "from_address": ""}, NOBODY, None)
    (submission,) = decide(LOCAL, NOBODY, None).submissions

    assert json.loads(submission.payload)["from"] == {"address": "noreply@example.com"}


@pytest.mark.parametrize(
    ("rule", "user", "listener", "expected"),
    [
        ("a", "b", "c", "a"),
        ("", "b", "c", "b"),
        ("", None, "c", "c"),
        ("", None, "", "default"),
    ],
)
def test_account_is_chosen_by_the_most_particular_word(
    rule: str, user: str | None, listener: str, expected: str
) -> None:
    """A sender rule, then the login, then the listener, then the sender's domain."""
    settings = Settings.model_validate(
        {
            "senders": [{"name": "rule", "account": rule}],
            "listeners": [{"name": "smtp", "account": listener}],
            "accounts": [{"domains": ["example.com"]}, *({"name": name} for name in "abc")],
        }
    )
    decision = Rules(settings).decide(envelope("ann@example.com", account=user), MAIL)

    assert decision.account == decision.submissions[0].account == expected


@pytest.mark.parametrize(
    ("rule", "header", "by_header", "expected"),
    [
        (None, b"", True, 0),
        (None, b"X-Priority: 1\r\n", True, 1),
        (None, b"Precedence: bulk\r\n", True, -1),
        (None, b"X-Priority: 1\r\n", False, 0),
        ("low", b"X-Priority: 1\r\n", True, -1),
        ("normal", b"Precedence: bulk\r\n", True, 0),
        ("high", b"", False, 1),
    ],
)
def test_priority_is_that_of_the_rule_or_of_the_header(
    rule: str | None, header: bytes, by_header: bool, expected: int
) -> None:
    """What the operator says goes before what the mail says of itself, which can be switched off."""
    settings = Settings.model_validate(
        {
            "senders": [{"name": "rule", **({"priority": rule} if rule else {})}],
            "delivery": {"header_priority": by_header},
        }
    )
    decision = Rules(settings).decide(envelope("ann@example.com"), header + MAIL)

    assert [submission.priority for submission in decision.submissions] == [expected]


def test_matches_are_counted_by_rule(tmp_path: Path) -> None:
    """The metric and the log name the rule, for mail that was rewritten and for mail that it refused."""
    settings = Settings.model_validate(
        {"senders": [LOCAL, {"name": "closed", "header_from": ["*@closed.example"], "action": "refuse"}]}
    )
    registry = CollectorRegistry()

    async def main() -> None:
        spool = await SqliteSpool.open(tmp_path / "spool.db", settings=settings.spool, clock=SystemClock())
        intake = Intake(spool=spool, rules=Rules(settings), metrics=IntakeMetrics(registry))
        try:
            assert (await intake.admit(envelope(), CRON)).accepted
            reply = await intake.admit(envelope("x@example.com"), b"From: x@closed.example\r\n\r\nx\r\n")
            assert (reply.code, reply.enhanced) == (550, "5.7.1")
        finally:
            intake.close()
            await spool.close()

    with capture_logs() as logs:
        asyncio.run(main())

    matches = {"rule": "local", "rewritten": "yes"}
    assert registry.get_sample_value("qboxrelay_sender_rule_matches_total", matches) == 1
    assert registry.get_sample_value("qboxrelay_mails_refused_total", {"rule": "sender_rule:closed"}) == 1
    assert [line.get("sender_rule", line.get("rule")) for line in logs] == ["local", "sender_rule:closed"]
