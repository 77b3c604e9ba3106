"""What goes from an envelope and its mail into a submission."""

from datetime import UTC, datetime

from qboxrelay.intake.decide import Rules
from qboxrelay.model.address import Address
from qboxrelay.model.envelope import Client, Envelope, Notify, Recipient
from qboxrelay.model.submission import Submission
from qboxrelay.settings.schema import Settings

SETTINGS = Settings.model_validate(
    {
        "accounts": [{"name": "main"}],
        "senders": [{"name": "all", "priority": "high"}],
        "spool": {"keep_raw": "always"},
    }
)
ENVELOPE = Envelope(
    transaction_id="T",
    sender=Address("bounce", "example.org"),
    recipients=(Recipient(Address("bob", "example.net"), frozenset({Notify.NEVER})),),
    client=Client(address="192.0.2.1", port=25, helo="app.example.org", listener="inside", user="erp"),
    received_at=datetime(2026, 1, 1, tzinfo=UTC),
    envid="e",
)
MAIL = b"From: app@example.org\r\nTo: bob@example.net\r\nSubject: s\r\nMessage-ID: <m>\r\n\r\nx\r\n"


def test_each_fact_is_in_its_place() -> None:
    """They are given by position, and many are text."""
    (submission,) = Rules(SETTINGS).decide(ENVELOPE, MAIL).submissions

    assert submission == Submission(
        id="T-1",
        transaction_id="T",
        account="main",
        client_key="user:erp",
        priority=1,
        payload=submission.payload,
        received_at=ENVELOPE.received_at,
        envelope_sender="bounce@example.org",
        recipients=("bob@example.net",),
        notify_never=True,
        dsn=submission.dsn,
        from_address="app@example.org",
        subject="s",
        message_id_header="<m>",
        client_address="192.0.2.1",
        client_helo="app.example.org",
        client_user="erp",
        listener="inside",
        sender_rule="all",
        raw=MAIL,
    )
    assert submission.payload.startswith(b'{"from":{"address":"app@example.org"}')
    assert "NEVER" in submission.dsn
