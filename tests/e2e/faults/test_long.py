"""M, and long mail: 30 MB from many clients at once, and mail of more parts, levels and addresses than anybody writes."""

import hashlib
import smtplib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

import psutil
import pytest

from tests.support.ledger import Clients, drained
from tests.support.processes import HOST, Relay, Sandbox

MEGABYTE = 1_000_000
CLIENTS = 50
RECEIVING = 128 * MEGABYTE
"""What mail may take while it is received, as configured here: a relay that reads 50 times 30 MB would take twelve times as much."""
BESIDE = 450 * MEGABYTE
"""Composed JSON beside what it is made of, batches under way to the API (50 MB each), caches, and what the allocator keeps."""
FILLER = b"ZmlsbGVy" * 9 + b"\r\n"
ENVELOPE = ("ann@example.com", ["bob@example.net"])


def attachment(subject: str, size: int) -> bytes:
    """A mail with one file of so many octets on the wire; its content is told by its digest."""
    return (
        f"From: ann@example.com\r\nTo: bob@example.net\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        "Content-Type: application/octet-stream; name=scan.bin\r\nContent-Disposition: attachment; filename=scan.bin\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + FILLER * (size // len(FILLER))


@contextmanager
def others(relay: Relay) -> Iterator[Clients]:
    """Somebody who sends small mail meanwhile; each must be taken."""
    clients, enough = Clients(), threading.Event()

    def send() -> None:
        number = 0
        while not enough.is_set() or number < 5:
            clients.send(relay.smtp_port, [f"small-{number}"])
            number += 1

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield clients
    finally:
        enough.set()
        thread.join(120)


class Memory:
    """The greatest resident size of a process, looked at many times a second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.before = self.peak = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.peak = max(self.peak, self._process.memory_info().rss)

    @property
    def grown(self) -> int:
        return self.peak - self.before


def test_thirty_megabytes_from_fifty_clients(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """Memory stays within what is configured; who finds no room is told 452, and there is room again later; others are served meanwhile; what
    was taken arrives whole.
    """
    relay = start_relay(relay=f"max_receiving_bytes = {RECEIVING}")
    large = Clients()

    def send(number: int) -> None:
        token, mail = f"large-{number}", attachment(f"large-{number}", 30 * MEGABYTE)
        try:
            with smtplib.SMTP(HOST, relay.smtp_port, timeout=150) as client:
                client.sendmail(*ENVELOPE, mail)
            large.note(token, 250)
        except smtplib.SMTPResponseException as refused:
            large.note(token, refused.smtp_code)
        except (OSError, smtplib.SMTPException):
            # Cut off in the middle of what there is no room for.
            large.note(token, None)

    threads = [threading.Thread(target=send, args=(number,), daemon=True) for number in range(CLIENTS)]
    with Memory(relay.pid()) as memory, others(relay) as small:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(200)
    drained(relay)
    send(CLIENTS)
    drained(relay)

    assert f"large-{CLIENTS}" in large.acked, "the room did not come back"
    assert len(small.acked) >= 5
    assert not small.nacked
    assert not small.unknown
    assert len(large.acked) >= RECEIVING // (30 * MEGABYTE)
    assert set(large.nacked.values()) <= {452}
    assert memory.grown < RECEIVING + BESIDE, f"{memory.grown // MEGABYTE} MB"
    taken = {entry["message"]["subject"] for entry in qboxmail.messages(content=0)}
    assert taken >= large.acked | {f"small-{number}" for number in range(len(small.acked))}
    assert not taken & large.nacked.keys()
    assert _digests(qboxmail, "large") == {hashlib.sha256(FILLER[:-2] * (30 * MEGABYTE // len(FILLER))).hexdigest()}


def _digests(qboxmail: Sandbox, prefix: str) -> set[str]:
    """Of the attached content of one of these mails."""
    mail = next(entry for entry in qboxmail.messages() if entry["message"]["subject"].startswith(prefix))
    (file,) = mail["message"]["attachments"]
    return {hashlib.sha256(file["content"].encode()).hexdigest()}


def nested(levels: int) -> bytes:
    """Multiparts within multiparts."""
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number) for number in range(levels)
    )


HEAD = b"From: ann@example.com\r\nTo: bob@example.net\r\nSubject: odd\r\nMIME-Version: 1.0\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
FILE = b"--b\r\nContent-Type: text/plain; name=f\r\nContent-Disposition: attachment; filename=f\r\n\r\nx\r\n"
ODD: dict[str, tuple[bytes, int]] = {
    "depth 500": (HEAD + nested(500), 554),
    "400,000 parts": (HEAD + MIXED + b"--b\r\n\r\n" * 400_000, 554),
    "5,000 attachments": (HEAD + MIXED + FILE * 5000 + b"--b--\r\n", 250),
    "20,000 Cc addresses": (
        HEAD + b"Cc: " + b",\r\n ".join(b"c%d@example.net" % number for number in range(20_000)) + b"\r\n\r\ntext\r\n",
        250,
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_mail_of_too_much(what: str, start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """It is taken whole or refused for good with a text that says why; memory stays bounded, and others are served meanwhile."""
    relay = start_relay()
    mail, code = ODD[what]
    with (
        Memory(relay.pid()) as memory,
        others(relay) as small,
        smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client,
    ):
        client.ehlo()
        client.mail(ENVELOPE[0])
        client.rcpt(ENVELOPE[1][0])
        got, text = client.data(mail)
    drained(relay)

    assert got == code, text
    assert code < 500 or b"5.6.0" in text
    assert memory.grown < 40 * len(mail) + 150 * MEGABYTE, f"{memory.grown // MEGABYTE} MB"
    assert not small.nacked
    assert not small.unknown
    found = [entry["message"] for entry in qboxmail.messages() if entry["message"]["subject"] == "odd"]
    assert len(found) == (code < 500)
    if what == "5,000 attachments":
        assert len(found[0]["attachments"]) == 5000
    if what == "20,000 Cc addresses":
        assert "cc" not in found[0], "an address that stands in the header only was mailed"
