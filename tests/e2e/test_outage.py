"""The API misbehaves while mail arrives: the door stays open, nothing is lost, all is delivered after."""

import os
import smtplib
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

SECONDS = float(os.environ.get("TESTS_OUTAGE_SECONDS", "3"))
"""How long each fault lasts; TESTS_OUTAGE_SECONDS=120 makes ten minutes of all five."""

SETTINGS = '[delivery]\nretry_schedule = ["1s"]\nrequest_deadline = "5s"\nconnect_timeout = "2s"\nlease = "30s"\nbreaker_pause = "1s"'

FAULTS: dict[str, dict[str, Any]] = {
    "503": {"action": "status", "status": 503, "body": "<html>down</html>"},
    "429": {"action": "status", "status": 429, "headers": {"Retry-After": "1"}},
    "hangs": {"action": "hang"},
    "drops": {"action": "drop_after_body"},
    "garbage": {"action": "status", "status": 200, "body": "<html>please log in</html>"},
}


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("fault", FAULTS)
def test_outage(fault: str, start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """Every mail of the outage is answered 250 and arrives once it is over; none is accepted twice by an API that took nothing."""
    relay = start_relay(extra=SETTINGS)
    qboxmail.faults({**FAULTS[fault], "share": 1.0})
    over = threading.Event()
    threading.Timer(SECONDS, over.set).start()
    sent = 0
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client:
        while not over.is_set():
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple(f"{fault}-{sent}")))
            sent += 1
            over.wait(0.02)
    assert not qboxmail.messages(content=0)

    qboxmail.faults()
    wait_until(lambda: relay.waiting() == 0, seconds=120, what="the spool is empty")

    arrived = Counter(entry["message"]["subject"] for entry in qboxmail.messages(content=0))
    assert arrived == Counter({f"{fault}-{number}": 1 for number in range(sent)})
