"""What was answered 250 arrives, however often the relay is killed."""

import random
import smtplib
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

MAILS = 2000
CLIENTS = 8
KILLS = 6


class Application(threading.Thread):
    """One application: sends its mails one after the other, connects again when the relay is gone, notes every 250."""

    def __init__(self, port: int, tokens: list[str]) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._tokens = tokens
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []

    def run(self) -> None:
        client: smtplib.SMTP | None = None
        for token in self._tokens:
            mail = mails.wire(mails.simple(token))
            try:
                client = client or self._connect()
                client.sendmail("ann@example.com", ["bob@example.net"], mail)
                self.acknowledged.append(token)
            except (OSError, smtplib.SMTPException):
                self.unknown.append(token)
                if client is not None:
                    client.close()
                client = None
        if client is not None:
            client.close()

    def _connect(self) -> smtplib.SMTP:
        """A relay that is down costs no mail: the application waits until it is back."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return smtplib.SMTP(HOST, self._port, timeout=60)
            except (OSError, smtplib.SMTPException):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def test_killed_at_random_moments(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """kill -9 at random moments under load: nothing acknowledged is lost, duplicates only from requests in flight at a kill."""
    relay = start_relay(extra='[delivery]\nretry_schedule = ["1s"]')
    chance = random.Random(20261121)
    tokens = [f"kill-{number:05}" for number in range(MAILS)]
    applications = [Application(relay.smtp_port, tokens[start::CLIENTS]) for start in range(CLIENTS)]
    for application in applications:
        application.start()
    in_flight: Counter[str] = Counter()
    for _ in range(KILLS):
        threading.Event().wait(chance.uniform(0.2, 1.0))
        relay.kill()
        in_flight.update(unrecorded(relay))
        relay.start()
    for application in applications:
        application.join(120)
    wait_until(lambda: relay.waiting() == 0, seconds=120, what="the spool is empty")

    arrived = Counter(entry["message"]["subject"] for entry in qboxmail.messages(content=0))
    acknowledged = {token for application in applications for token in application.acknowledged}
    repeated = Counter({token: times - 1 for token, times in arrived.items() if times > 1})
    lost = acknowledged - set(arrived)

    assert len(acknowledged) > MAILS * 0.9, "the load did not survive the kills"
    assert not lost
    assert repeated <= in_flight, "a mail was sent once more than it was in flight at a kill"


def unrecorded(relay: Relay) -> set[str]:
    """Subjects that were under way when the relay died: read from its spool, as an operator would."""
    with closing(sqlite3.connect(f"file:{relay.directory}/data/spool.db?mode=ro", uri=True, timeout=60)) as spool:
        return {subject for (subject,) in spool.execute("SELECT subject FROM submissions WHERE state = 'sending'")}
