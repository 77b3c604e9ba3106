"""Surprises of ours while a content comes, and what the wire log must not show of what came."""

import base64
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from structlog.testing import capture_logs

from qboxrelay.smtp.limits import Memory
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics
from tests.contract.smtp.harness import HOST, door

BEGIN = b"EHLO a\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\n"


class NoCounting(SmtpMetrics):
    """Metrics that fail when a limit acts."""

    def limited(self, limit: str) -> None:
        raise MemoryError(limit)


class BrokenMemory(Memory):
    """A budget that fails when content comes."""

    def take(self, size: int) -> bool:
        if size:
            raise MemoryError(size)
        return True


def heard(client: socket.socket) -> bytes:
    """All that comes until the other side is done."""
    client.settimeout(60)
    answer = b""
    try:
        while part := client.recv(65536):
            answer += part
    except OSError:
        pass
    return answer


def test_content_that_met_a_surprise_is_no_mail() -> None:
    """What is left of it is neither a mail nor a command: 451, and the end."""
    with door(metrics=NoCounting) as running, socket.create_connection((HOST, running.port), timeout=60) as client:
        client.sendall(BEGIN + b"DATA\r\nSubject: x\r\n\r\nbare\nline\r\n.\r\nNOOP\r\n")
        answer = heard(client)
        assert answer.count(b"451 4.3.0") == 1
        assert answer.rstrip().endswith(b"try again later")
        assert not running.got


def test_chunk_that_met_a_surprise_is_no_command() -> None:
    """The rest of the chunk is not read as commands."""
    mail = b"NOOP\r\n" * 10
    with door(budget=BrokenMemory) as running, socket.create_connection((HOST, running.port), timeout=60) as client:
        client.sendall(BEGIN + b"BDAT %d LAST\r\n" % len(mail) + mail)
        answer = heard(client)
        assert answer.count(b"451 4.3.0") == 1
        assert answer.rstrip().endswith(b"try again later")
        assert not running.got


def test_wire_log_shows_commands_only(tmp_path: Path) -> None:
    """Passwords after a refused AUTH, and a mail after a refused DATA, come where commands are expected."""
    watched = tmp_path / "wirelog"
    watched.write_text(f"127.0.0.0/8 {(datetime.now(UTC) + timedelta(hours=1)).isoformat()}\n")
    password = base64.b64encode(b"s3cretpw")
    with capture_logs() as logs, door(wire=watched) as running:
        for lines in (
            b"AUTH LOGIN\r\nYm9i\r\n%b\r\n" % password,
            b"DATA\r\nSubject: top secret\r\n\r\nbody line\r\n.\r\n",
        ):
            with socket.create_connection((HOST, running.port), timeout=60) as client:
                client.sendall(b"EHLO a\r\n" + lines + b"AUTH\tPLAIN %b\r\nQUIT\r\n" % password)
                assert b"221" in heard(client)
    shown = [line["line"] for line in logs if line["event"] == "wire.client"]
    assert {"EHLO a", "AUTH ***", "DATA", "QUIT"} <= set(shown)
    assert not [line for line in shown if password.decode() in line or "secret" in line or "body" in line]
