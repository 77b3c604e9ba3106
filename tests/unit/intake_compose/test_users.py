"""What a login means for its mail: as whom it may be, and through which account it leaves."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from qboxrelay.intake.decide import Rules
from qboxrelay.model.address import Address
from qboxrelay.model.envelope import Client, Envelope, Recipient
from qboxrelay.model.reply import Refusal
from qboxrelay.settings.schema import Settings

SETTINGS = Settings.model_validate(
    {
        "users": [{"name": "erp", "senders": ["app@example.org"]}, {"name": "free"}],
        "accounts": [{"name": "main", "domains": ["example.org"]}, {"name": "news"}],
        "senders": [{"name": "cron", "header_from": ["root@*"], "from_address": "app@example.org"}],
    }
)
ENVELOPE = Envelope(
    transaction_id="0" * 26,
    sender=Address("app", "example.org"),
    recipients=(Recipient(Address("bob", "example.net")),),
    client=Client(address="127.0.0.1", user="erp"),
    received_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def as_user(name: str | None) -> Envelope:
    return replace(ENVELOPE, client=replace(ENVELOPE.client, user=name))


def mail(from_: str) -> bytes:
    return f"From: {from_}\r\nTo: bob@example.net\r\nSubject: x\r\n\r\nx\r\n".encode()


@pytest.mark.parametrize(
    "from_",
    [
        "app@example.org", "The App <APP@Example.Org>", "app@example.org, boss@example.org", "root@localhost",
    ],
)  # fmt: skip
def test_user_sends_as_itself(from_: str) -> None:
    """Or as what the relay's own rules make of it: what counts is as whom it leaves."""
    decision = Rules(SETTINGS).decide(ENVELOPE, mail(from_))

    assert {submission.from_address for submission in decision.submissions} <= {"app@example.org", "APP@Example.Org"}
    assert {submission.client_user for submission in decision.submissions} == {"erp"}


@pytest.mark.parametrize(
    "from_", ["boss@example.org", "app@example.org <boss@example.org>", "boss@example.org, app@example.org"]
)
def test_user_does_not_send_as_others(from_: str) -> None:
    """Whatever the envelope says."""
    with pytest.raises(Refusal) as caught:
        Rules(SETTINGS).decide(ENVELOPE, mail(from_))

    assert (caught.value.reply.code, caught.value.reply.enhanced, caught.value.rule) == (550, "5.7.1", "user_senders")


def test_without_from_the_envelope_is_who_it_is_from() -> None:
    """And who it must not be, just so."""
    mail = b"To: bob@example.net\r\n\r\nx\r\n"
    assert Rules(SETTINGS).decide(ENVELOPE, mail).submissions[0].from_address == "app@example.org"

    with pytest.raises(Refusal):
        Rules(SETTINGS).decide(replace(ENVELOPE, sender=Address("boss", "example.org")), mail)


@pytest.mark.parametrize("name", ["free", None])
def test_others_are_not_bound(name: str | None) -> None:
    """Users without patterns, and clients without a login."""
    assert Rules(SETTINGS).decide(as_user(name), mail("boss@example.org")).account == "main"


def test_account_of_the_user() -> None:
    """It goes before the sender's domain."""
    assert Rules(SETTINGS).decide(replace(ENVELOPE, account="news"), mail("app@example.org")).account == "news"
