"""Mail that runs in a circle, and mail in pieces, is refused for good."""

import json
from datetime import UTC, datetime

import pytest

from qboxrelay.intake.decide import Decision, Rules
from qboxrelay.mime.parse import parse
from qboxrelay.model.address import Address
from qboxrelay.model.envelope import Client, Envelope, Recipient
from qboxrelay.model.ids import new_id, submission_id
from qboxrelay.model.reply import Refusal
from qboxrelay.policy.loops import earlier_ids, require_straight
from qboxrelay.settings.schema import RelaySettings, Settings

TEXT = "From: ann@example.com\nTo: bob@example.net\nSubject: s\n\nhello\n"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
IDS = [submission_id(new_id(NOW), number) for number in range(1, 7)]


def refused(raw: str, **settings: int) -> tuple[str, str]:
    with pytest.raises(Refusal) as refusal:
        require_straight(parse(raw.encode()), RelaySettings.model_validate(settings))
    return str(refusal.value.reply), refusal.value.rule


def decide(transaction: str, content: bytes, **settings: int) -> Decision:
    envelope = Envelope(
        transaction_id=transaction,
        sender=Address("ann", "example.com"),
        recipients=(Recipient(Address("bob", "example.net")),),
        client=Client(address="192.0.2.1"),
        received_at=NOW,
    )
    return Rules(Settings.model_validate({"relay": settings})).decide(envelope, content)


def test_hops_are_counted() -> None:
    """As many Received fields as are set are taken, one more is a loop (RFC 5321 §6.3)."""
    require_straight(parse(("Received: x\n" * 100 + TEXT).encode()), RelaySettings())
    reply, rule = refused("Received: x\n" * 101 + TEXT)

    assert reply.startswith("554 5.4.6 Mail loop: it has 101 Received fields. Look for a forwarding")
    assert rule == "loop"
    assert refused("Received: x\n" * 3 + TEXT, max_received=2)[1] == "loop"


def test_a_loop_through_the_relay_ends() -> None:
    """A mail that the relay sends and that comes back as it is, again and again, is refused when it went round often enough."""
    raw = TEXT
    for _ in range(4):
        message = json.loads(decide(new_id(NOW), raw.encode()).submissions[0].payload)
        raw = "".join(f"{name}: {value}\n" for name, value in message["headers"].items()) + TEXT
    with pytest.raises(Refusal) as refusal:
        decide(new_id(NOW), raw.encode())

    assert refusal.value.rule == "loop"
    assert str(refusal.value.reply).startswith(
        "554 5.4.6 Mail loop: it went through a relay of this kind 4 times before"
    )


def test_earlier_ids_travel_with_the_mail() -> None:
    """The latest first, each once, however the API or a forwarder writes repeated fields; the mail's own id stays alone in its field."""
    raw = f"X-Qboxrelay-Id: {IDS[0]}, {IDS[1]}\nX-Qboxrelay-Id: {IDS[0]}\nx-qboxrelay-earlier-ids: {IDS[2]}\n" + TEXT
    own = new_id(NOW)
    (submission,) = decide(own, raw.encode()).submissions

    assert json.loads(submission.payload)["headers"] == {
        "X-Qboxrelay-Id": f"{own}-1",
        "X-Qboxrelay-Earlier-Ids": f"{IDS[0]} {IDS[1]} {IDS[2]}",
    }


def test_what_is_no_id_does_not_count() -> None:
    """Anybody can write such a field; only what a relay could have written is a pass, and nothing else travels on."""
    message = parse(
        ("X-Qboxrelay-Id: forged\n" * 20 + f"X-Qboxrelay-Id: {IDS[0]}x {IDS[1].lower()} {IDS[2]}\n" + TEXT).encode()
    )

    assert earlier_ids(message) == (IDS[2],)
    require_straight(message, RelaySettings())


def test_no_pass_at_all_can_be_allowed() -> None:
    """Where nobody forwards through the relay, the first mail that comes back is a loop."""
    assert refused(f"X-Qboxrelay-Id: {IDS[0]}\n{TEXT}", max_passes=0)[1] == "loop"


def test_a_fragment_is_refused_with_the_devices_setting() -> None:
    """RFC 2046 §5.2.2: nobody could read it; the text names what to change in the device."""
    reply, rule = refused('Content-Type: message/partial; id="x"; number=1; total=5\n' + TEXT)

    assert reply.startswith("554 5.6.1 One piece of a divided mail")
    assert "split" in reply
    assert "divide" in reply
    assert len(reply) <= 510
    assert rule == "partial"
