"""M: more clients, more bytes and less memory than anybody planned for; others are served meanwhile."""

import resource
import shutil
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.support import mails
from tests.support.ledger import Clients, drained, judge
from tests.support.processes import HOST, Relay, Sandbox, wait_until

MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    """This process plays a thousand clients: more than it may often open without asking."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    upper = 65536 if before[1] == resource.RLIM_INFINITY else before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(upper, 65536)), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def dialogue(port: int, *lines: bytes) -> socket.socket:
    """A connection on which these lines were sent, each after the reply to the one before it."""
    connection = socket.create_connection((HOST, port), timeout=60)
    connection.recv(4096)
    for line in lines:
        connection.sendall(line + b"\r\n")
        connection.recv(4096)
    return connection


ENVELOPE = (b"EHLO a", b"MAIL FROM:<ann@example.com>", b"RCPT TO:<bob@example.net>", b"DATA")


def flood(port: int, octets: bytes, total: int) -> None:
    """Send octets as content, over and over, until so many went or the door had enough."""
    try:
        with dialogue(port, *ENVELOPE) as connection:
            for _ in range(total // len(octets)):
                connection.sendall(octets)
    except OSError:
        pass


@pytest.mark.parametrize("what", ["a line without an end", "empty lines", "a header without an end", "parts"])
def test_content_without_an_end(what: str, start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """300 MB of it, from four clients: memory stays within what was configured and 150 MB, and others are served meanwhile."""
    octets = {
        "a line without an end": b"x" * 65536,
        "empty lines": b"\r\n" * 32768,
        "a header without an end": b"Subject: y\r\n " + b"y" * 65000,
        "parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 8000,
    }[what]
    relay = start_relay(relay='max_receiving_bytes = "64MB"')
    process = psutil.Process(relay.pid())
    before, peak = process.memory_info().rss, 0
    floods = [
        threading.Thread(target=flood, args=(relay.smtp_port, octets, 300 * MEGABYTE), daemon=True) for _ in range(4)
    ]
    for thread in floods:
        thread.start()
    clients = Clients()
    number = 0
    while any(thread.is_alive() for thread in floods) or number < 10:
        clients.send(relay.smtp_port, [f"meanwhile-{number}"])
        number += 1
        peak = max(peak, process.memory_info().rss)
    drained(relay)

    assert len(clients.acked) == number
    assert peak - before < (64 + 150) * MEGABYTE
    judge(relay, qboxmail, clients)


def test_connections_that_come_and_go(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """200 that say nothing and 500 that vanish: the next client is served, and no descriptor stays behind."""
    relay = start_relay()
    process = psutil.Process(relay.pid())
    before = process.num_fds()
    idle = [socket.create_connection((HOST, relay.smtp_port), timeout=30) for _ in range(200)]
    for number in range(500):
        connection = socket.create_connection((HOST, relay.smtp_port), timeout=30)
        if number % 2:
            connection.sendall(b"EHLO a\r\nMAIL FROM:<ann@example.com>\r\n")
        connection.close()
    clients = Clients()
    clients.send(relay.smtp_port, ["served"])
    assert clients.acked == {"served"}
    for connection in idle:
        connection.close()
    drained(relay)

    clients.send(relay.smtp_port, ["served-again"])
    drained(relay)
    wait_until(lambda: process.num_fds() < before + 20, what="no descriptor stays behind")
    judge(relay, qboxmail, clients)


def test_status_page_under_siege(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """L5: 1,000 connections to it, half of them in the middle of a request: mail flows, and the page answers when they are gone."""
    relay = start_relay()
    besiegers = []
    for number in range(1000):
        connection = socket.create_connection((HOST, relay.http_port), timeout=30)
        if number % 2:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
        besiegers.append(connection)
    clients = Clients()
    clients.send(relay.smtp_port, [f"besieged-{number}" for number in range(20)])
    wait_until(lambda: len(qboxmail.messages(content=0)) >= len(clients.acked), what="mail is delivered")
    for connection in besiegers:
        connection.close()
    wait_until(relay.ready, what="the status page answers")
    drained(relay)

    judge(relay, qboxmail, clients)
    assert len(clients.acked) == 20


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed (Debian: apt install util-linux)")
def test_memory_that_runs_out(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """Under a limit on memory large mails may get 451, but none that got 250 is lost, and all is sent once there is memory again."""
    relay = start_relay()
    usual = psutil.Process(relay.pid()).memory_info().vms
    relay.stop()
    relay.start(prefix=["prlimit", f"--as={usual + 150 * MEGABYTE}"])
    clients = Clients()

    def send(number: int) -> None:
        token = f"large-{number}"
        mail = mails.wire(mails.simple(token))
        try:
            with smtplib.SMTP(HOST, relay.smtp_port, timeout=120) as client:
                client.sendmail("ann@example.com", ["bob@example.net"], mail + b"filler\r\n" * 2_500_000)
            clients.note(token, 250)
        except smtplib.SMTPResponseException as refused:
            clients.note(token, refused.smtp_code)
        except (OSError, smtplib.SMTPException):
            clients.note(token, None)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    relay.kill()
    relay.start()
    after = Clients()
    after.send(relay.smtp_port, ["small"])
    drained(relay)

    arrived = {entry["message"]["subject"] for entry in qboxmail.messages(content=0)}
    assert clients.acked <= arrived
    assert not clients.nacked.keys() & arrived
    assert all(code < 500 for code in clients.nacked.values())
    assert "small" in arrived
