"""The API refuses one message of many: the others go out, the one keeps the API's own words."""

import smtplib
from collections.abc import Callable

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until


def test_one_of_a_hundred_is_refused(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """400 for a request of a hundred with one bad message: ninety-nine are delivered once, one fails with the API's text."""
    relay = start_relay(extra='[delivery]\nretry_schedule = ["1s"]')
    poison = {
        "action": "status",
        "status": 400,
        "body": {"error_code": 400, "message": "the poison is not welcome", "error": "bad_poison", "request_id": "r-1"},
        "subject": "poison",
    }
    qboxmail.faults({"action": "status", "status": 503, "count": 1}, {**poison, "share": 1.0})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        for number in range(100):
            subject = "poison" if number == 42 else f"fine-{number}"
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple(subject)))
    wait_until(lambda: relay.waiting() == 0, seconds=60, what="the spool is empty")

    arrived = sorted(entry["message"]["subject"] for entry in qboxmail.messages(content=0))
    (failed,) = relay.wait_for("submission.failed")

    assert arrived == sorted(f"fine-{number}" for number in range(100) if number != 42)
    relay.wait_for_metric('qboxrelay_spool_messages{account="default",state="failed"}', 1)
    assert "the poison is not welcome" in failed["text"]
    assert failed["error"] == "bad_poison"
