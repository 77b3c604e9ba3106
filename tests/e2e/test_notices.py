"""The whole way of a notice: refused by the API, told to the sender through the same relay, also after a kill."""

import smtplib
from collections.abc import Callable

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

SETTINGS = """
[notices]
to = "sender"
from_address = "postmaster@example.com"
"""


def test_sender_is_told(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """The API's words reach who sent the mail, once, however often the relay is killed and started."""
    relay = start_relay(extra=SETTINGS)
    words = {"error_code": 400, "message": "the poison is not welcome", "error": "bad_poison", "request_id": "r-1"}
    qboxmail.faults({"action": "status", "status": 400, "body": words, "count": 1})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.send_message(mails.simple("poison"), "ann@example.com", ["bob@example.net"])
    wait_until(lambda: qboxmail.messages(subject="Undelivered"), what="the notice")
    # Killed before that, the relay could not know whether the notice has gone.
    wait_until(lambda: relay.waiting() == 0, what="the answer is recorded")
    for _ in range(2):
        relay.kill()
        relay.start()
    wait_until(lambda: relay.waiting() == 0, what="the spool is empty")
    (told,) = qboxmail.messages(subject="Undelivered")

    assert told["message"]["subject"] == "Undelivered: poison"
    assert told["message"]["from"]["address"] == "postmaster@example.com"
    assert told["message"]["to"] == [{"address": "ann@example.com"}]
    assert told["message"]["headers"]["Auto-Submitted"] == "auto-replied"
    assert "the poison is not welcome" in told["message"]["text_body"]
    (queued,) = relay.wait_for("notice.queued")
    (failed,) = relay.wait_for("submission.failed")
    assert queued["about"] == [failed["transaction"]]
