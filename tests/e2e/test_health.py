"""Health of a real relay: alive, able to accept durably, quiet, and independent of the network."""

import json
import signal
import smtplib
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until

StartRelay = Callable[..., Relay]


def asked(relay: Relay, path: str) -> tuple[int, dict[str, Any]]:
    response = httpx.get(f"http://{HOST}:{relay.http_port}{path}", timeout=30, trust_env=False)
    return response.status_code, response.json()


def hand_in(relay: Relay, *subjects: str) -> None:
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        for subject in subjects:
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple(subject)))


def test_ready_without_a_network(tmp_path: Path) -> None:
    """The API answers nobody and no name resolves: mail is accepted all the same, and the account's trouble is a detail."""
    with closing(Relay(tmp_path / "relay", f"http://{HOST}:{free_port()}")) as relay:
        relay.start(environment={"RES_OPTIONS": "attempts:1 timeout:1", "http_proxy": "", "HTTP_PROXY": ""})
        hand_in(relay, "hello")
        wait_until(lambda: relay.events("request.deferred"), what="the API is not reached")
        status, body = asked(relay, "/readyz")

        assert (status, body["status"], body["reasons"]) == (200, "ready", {})
        assert "default" in body["accounts"]
        assert asked(relay, "/healthz") == (200, {"status": "alive"})
        assert relay.metric("qboxrelay_ready") == 1


def test_not_ready_while_mail_cannot_be_stored(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """503 with the reason as JSON, also as a metric; alive all the while; ready again when there is room."""
    qboxmail.faults({"action": "status", "status": 503})
    relay = start_relay(extra='[spool]\nmax_messages = 1\n[delivery]\nretry_schedule = ["1s"]\nbreaker_pause = "1s"\n')
    hand_in(relay, "fills it")
    wait_until(lambda: relay.answers(503), what="it is not ready")
    status, body = asked(relay, "/readyz")

    assert (status, body["status"]) == (503, "not ready")
    assert "max_messages" in body["reasons"]["spool"]
    assert relay.metric("qboxrelay_ready") == 0
    assert asked(relay, "/healthz")[0] == 200
    with pytest.raises(smtplib.SMTPException, match="452"):
        hand_in(relay, "one too many")

    qboxmail.faults()
    wait_until(lambda: relay.answers(200), seconds=60, what="it is ready again")
    assert len(relay.wait_for("relay.ready_again")) == 1
    assert [list(line["reasons"]) for line in relay.events("relay.not_ready")] == [["spool"]]


def test_health_writes_no_line(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """However often somebody asks, well or not: the log has the change, not the looks."""
    qboxmail.faults({"action": "status", "status": 503})
    relay = start_relay(extra="[spool]\nmax_messages = 1\n")
    said = len(relay.log.read_text().splitlines())
    with httpx.Client(base_url=f"http://{HOST}:{relay.http_port}", timeout=60, trust_env=False) as client:
        for _ in range(100):
            for path in ("/healthz", "/readyz", "/metrics", "/nothing"):
                client.get(path)
        # A start may still have something of its own to say.
        assert len(relay.log.read_text().splitlines()) < said + 100
        hand_in(relay, "fills it")
        wait_until(lambda: relay.answers(503), what="it is not ready")
        for _ in range(100):
            client.get("/readyz")
    assert len(relay.wait_for("relay.not_ready")) == 1


def test_not_ready_before_the_doors_are_open_nor_while_it_stops(start_relay: StartRelay) -> None:
    """A load balancer looks elsewhere; neither is an error of the log."""
    relay = start_relay()
    waiting = socket.create_connection((HOST, relay.smtp_port))
    waiting.recv(100)
    with closing(waiting), closing(httpx.Client(trust_env=False, timeout=30)) as client:
        waiting.sendall(b"EHLO x\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
        wait_until(lambda: relay.metric('qboxrelay_smtp_replies_total{code="354"}') == 1, what="a mail is under way")
        relay.signal(signal.SIGTERM)

        def stopping() -> bool:
            body = json.loads(client.get(f"http://{HOST}:{relay.http_port}/readyz").content)
            return bool(body["reasons"] == {"relay": "the relay is stopping"})

        wait_until(stopping, what="it says that it stops")
        waiting.sendall(b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
    relay.wait()
    assert relay.events("relay.not_ready") == []
