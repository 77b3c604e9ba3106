"""The two ledgers by which a fault is judged: what clients read after the final dot, and what the API accepted.

In: mails with a token each, a relay, a sandbox. Out: a verdict on the promises. Never: anything that the relay says of itself, but for where it
keeps mail that it did not deliver.
"""

import json
import smtplib
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

DOMAIN = "example.com"
RECIPIENT = "bob@example.net"
PATIENCE = 120.0
_BREATH = 0.02
"""Between two tries to reach a relay that is away, so that its clients leave it the processor to start with."""


def body_of(token: str) -> str:
    """A text of its own for each token, so that half of it or another's is seen."""
    return f"begin {token}\n" + f"{token} " * 40 + f"\nend {token}\n"


@dataclass
class Clients:
    """What applications know: by token, what they read after the final dot."""

    acked: set[str] = field(default_factory=set)
    nacked: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, token: str, code: int | None) -> None:
        with self._lock:
            if code is None:
                self.unknown.add(token)
            elif code < 400:
                self.acked.add(token)
            else:
                self.nacked[token] = code

    def send(self, port: int, tokens: Iterable[str]) -> None:
        """One after the other over one connection, which is made again when it is gone; a relay that is down costs the mail."""
        client: smtplib.SMTP | None = None
        for token in tokens:
            try:
                client = client or smtplib.SMTP(HOST, port, timeout=60)
                sender = f"{token}@{DOMAIN}"
                client.sendmail(
                    sender, [RECIPIENT], mails.wire(mails.simple(token, sender=sender, body=body_of(token)))
                )
                self.note(token, 250)
            except smtplib.SMTPResponseException as refused:
                self.note(token, refused.smtp_code)
                _close(client)
                client = None
            except smtplib.SMTPRecipientsRefused as refused:
                self.note(token, refused.recipients[RECIPIENT][0])
            except (OSError, smtplib.SMTPException):
                self.note(token, None)
                _close(client)
                client = None
                time.sleep(_BREATH)
        _close(client)

    def load(self, port: int, prefix: str, *, clients: int, mails_each: int) -> list[threading.Thread]:
        """The same from several applications at once; the threads are running."""
        threads = [
            threading.Thread(
                target=self.send, args=(port, [f"{prefix}-{number}-{n}" for n in range(mails_each)]), daemon=True
            )
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        return threads


def _close(client: smtplib.SMTP | None) -> None:
    if client is not None:
        client.close()


def queue(relay: Relay, *states: str) -> list[dict[str, Any]]:
    """What the relay still keeps, read by the command that an operator uses."""
    command = [sys.executable, "-m", "qboxrelay", "queue", "list", "--config", str(relay.config), "--json"]
    done = subprocess.run(
        [*command, "--limit", "1000000", *(word for state in states for word in ("--state", state))],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def drained(relay: Relay, seconds: float = PATIENCE) -> None:
    """Wait until nothing is queued or under way."""
    wait_until(lambda: relay.waiting() == 0, seconds=seconds, what="the spool is empty")


def judge(relay: Relay, qboxmail: Sandbox, clients: Clients, *, may_repeat: int = 0) -> None:
    """The promises, after the fault is over and the queue has drained. `may_repeat`: accepted requests whose end the relay could not know."""
    accepted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in qboxmail.messages():
        accepted[entry["message"]["subject"]].append(entry)
    kept = {entry["envelope_sender"].partition("@")[0]: entry for entry in queue(relay, "failed", "held")}

    lost = clients.acked - accepted.keys() - kept.keys()
    assert not lost, f"I1: answered 250 and neither delivered nor visible: {sorted(lost)[:5]} of {len(lost)}"
    both = {token for token in accepted.keys() & kept.keys() if kept[token]["outcome"] != "unknown"}
    assert not both, f"delivered and kept as undelivered: {sorted(both)[:5]}"
    sent_anyway = clients.nacked.keys() & accepted.keys()
    assert not sent_anyway, f"I2: refused and delivered: {sorted(sent_anyway)[:5]}"
    foreign = accepted.keys() - clients.acked - clients.unknown
    assert not foreign, f"delivered and never sent: {sorted(foreign)[:5]}"
    _judge_repeats(relay, accepted, may_repeat)
    for token, entries in accepted.items():
        for entry in entries:
            text = entry["message"]["text_body"].replace("\r\n", "\n")
            assert text.strip() == body_of(token).strip(), f"I5: the content of {token} changed"


def _judge_repeats(relay: Relay, accepted: dict[str, list[dict[str, Any]]], may_repeat: int) -> None:
    repeated = {token: entries for token, entries in accepted.items() if len(entries) > 1}
    unheard = {entry["request_id"] for entries in repeated.values() for entry in entries[:-1]}
    assert len(unheard) <= may_repeat, f"I3: {len(repeated)} delivered twice: {sorted(repeated)[:5]}"
    said = {event["submission"] for event in relay.events("attempt.maybe_duplicate")}
    for token, entries in repeated.items():
        first, *others = [entry["message"] for entry in entries]
        assert all(other == first for other in others), f"I6: {token} was not the same on every try"
        assert first["headers"]["X-Qboxrelay-Id"] in said, f"I3: the log does not say that {token} may be a duplicate"
