"""The wire log: switched on for one client while the relay runs, without passwords and content."""

import smtplib
import subprocess
import sys
from collections.abc import Callable

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox


def command(relay: Relay, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "wirelog", *arguments, "--config", str(relay.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def send(relay: Relay, subject: str) -> None:
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.ehlo("device.example")
        client.docmd("AUTH PLAIN", "AHVzZXIAc2VjcmV0LXBhc3N3b3Jk")
        client.send_message(mails.simple(subject, body="a secret content"), "ann@example.com", ["bob@example.net"])


def test_watch_a_client(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """Off, on, off again, each noticed by the next connection of the running relay."""
    relay = start_relay()
    send(relay, "one")
    assert not relay.events("wire.client")
    assert "Nobody" in command(relay)

    assert f"{HOST}/32 is watched" in command(relay, HOST)
    send(relay, "two")
    heard = [event["line"] for event in relay.events("wire.client")]
    said = [event["line"] for event in relay.events("wire.server")]
    assert heard[0] == "ehlo device.example"
    assert heard[1] == "AUTH ***"
    assert heard[2].lower().startswith("mail from:<ann@example.com>")
    assert any(line.endswith("bytes of content>") for line in heard)
    assert said[0] == "220 relay.example ESMTP"
    assert any(line.startswith("250 2.0.0 Ok: queued as") for line in said)
    assert "secret" not in relay.log.read_text()
    assert "AHVzZXI" not in relay.log.read_text()

    assert "192.0.2.0/24 is watched" in command(relay, "192.0.2.0/24", "--minutes", "5")
    command(relay, HOST, "--off")
    send(relay, "three")
    assert len(relay.events("wire.client")) == len(heard)
    assert "Nobody" in command(relay, "--off")
    assert len(qboxmail.messages()) <= 3


def test_broken_address(start_relay: Callable[..., Relay]) -> None:
    """One clear line."""
    relay = start_relay()
    done = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "wirelog", "192.0.2.300", "--config", str(relay.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "192.0.2.300" in done.stderr
    assert "Traceback" not in done.stderr
