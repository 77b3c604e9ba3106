"""Start, stop, and what a second daemon or a taken port gets to hear."""

import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until


def test_sigterm_finishes_what_is_under_way(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """A stop records the request in flight: it is accepted once, and nothing waits after the next start."""
    relay = start_relay()
    qboxmail.faults({"action": "delay", "seconds": 1.0, "count": 1})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("slow")))
    wait_until(qboxmail.requests, what="the request is under way")

    assert relay.stop() == 0
    relay.start()

    assert relay.waiting() == 0
    assert [entry["message"]["subject"] for entry in qboxmail.messages()] == ["slow"]


def test_stop_with_an_idle_session(start_relay: Callable[..., Relay]) -> None:
    """An idle session does not hold up a stop; it is told 421."""
    relay = start_relay()
    client = smtplib.SMTP(HOST, relay.smtp_port)
    client.ehlo()

    assert relay.stop() == 0
    assert client.sock is not None
    assert client.sock.recv(1000).startswith(b"421 4.3.2")
    client.close()


def test_second_daemon_on_the_spool(start_relay: Callable[..., Relay], tmp_path: Path) -> None:
    """A second daemon on one spool refuses to start and names the process that holds it."""
    relay = start_relay()
    second = tmp_path / "second.toml"
    text = relay.config.read_text()
    for port in (relay.smtp_port, relay.http_port):
        text = text.replace(f"{HOST}:{port}", f"{HOST}:{free_port()}")
    second.write_text(text)
    run = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "run", "--config", str(second)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 1
    assert f"in use by process {relay.pid()}" in run.stderr


def test_client_gone_during_data_leaves_nothing(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """A connection that ends before the final dot leaves no mail."""
    relay = start_relay()
    with socket.create_connection((HOST, relay.smtp_port)) as connection:
        connection.sendall(
            b"EHLO x\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: half\r\n\r\nha"
        )
        wait_until(lambda: b"354" in connection.recv(4000), what="354")
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("whole")))
    wait_until(qboxmail.messages, what="the whole mail")

    wait_until(lambda: relay.waiting() == 0, what="it is settled")
    assert [entry["message"]["subject"] for entry in qboxmail.messages()] == ["whole"]


def test_demo_shows_a_first_mail(tmp_path: Path) -> None:
    """`qboxrelay demo` says what is where; a mail to its SMTP port is on its inbox page; Ctrl-C ends it cleanly."""
    smtp, http, box = free_port(), free_port(), free_port()
    argv = ["demo", "--smtp-port", smtp, "--http-port", http, "--sandbox-port", box, "--data-dir", tmp_path / "spool"]
    with subprocess.Popen(
        [sys.executable, "-m", "qboxrelay", *map(str, argv)], stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        lines = iter(demo.stdout.readline, "")
        command = next(line for line in lines if "smtplib" in line).strip()
        subprocess.run(command, shell=True, timeout=60, check=True)
        inbox = f"http://{HOST}:{box}/"
        wait_until(lambda: "Hello" in httpx.get(inbox, trust_env=False).text, what="the mail on the inbox page")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        rest = demo.stdout.read()
    assert "submission.sent" in rest
    assert (tmp_path / "spool" / "spool.db").exists()


def test_demo_names_the_option_for_a_taken_port(tmp_path: Path) -> None:
    """A port that is taken is named with the option that changes it."""
    for option in ("--smtp-port", "--http-port", "--sandbox-port"):
        with socket.create_server((HOST, 0)) as taken:
            ports = {"--smtp-port": free_port(), "--http-port": free_port(), "--sandbox-port": free_port()}
            ports[option] = taken.getsockname()[1]
            argv = [text for name, port in ports.items() for text in (name, str(port))]
            run = subprocess.run(
                [sys.executable, "-m", "qboxrelay", "demo", "--data-dir", str(tmp_path / "d"), *argv],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert run.returncode == 1
            assert str(ports[option]) in run.stderr
            assert option in run.stderr
