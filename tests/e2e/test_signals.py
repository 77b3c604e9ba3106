"""Signals at awkward moments, and a process that was started with descriptors missing."""

import contextlib
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

RUN = [sys.executable, "-m", "qboxrelay", "run", "--config"]
AS_PROCESS_1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


def may_be_process_1() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*AS_PROCESS_1, "true"], capture_output=True, check=False, timeout=60).returncode == 0


@contextmanager
def starting(tmp_path: Path, *prefix: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A relay that has begun to read its configuration and gets no end of it; the process, and the id of Python's."""
    config = tmp_path / "qboxrelay.toml"
    os.mkfifo(config)
    with subprocess.Popen([*prefix, *RUN, str(config)], stderr=subprocess.PIPE, text=True) as process:
        writing = wait_until(lambda: opened(config), what="the relay reads its configuration")
        try:
            python = psutil.Process(process.pid)
            if prefix:
                python = python.children()[0]
            yield process, python.pid
        finally:
            os.close(writing)
            process.kill()


def ended_by(process: subprocess.Popen[str], pid: int, number: signal.Signals) -> str:
    """What it said until its end. Python looks for signals between its instructions: one that comes behind the last look before a read that never
    ends is seen with the next one.
    """
    for _ in range(10):
        os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=10)[1]
    raise AssertionError("no signal ends it")


def opened(fifo: Path) -> int | None:
    """The writing end of a FIFO, once somebody reads it."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


# Linux drops signals that process 1 of a container has no handler for. Making one is not allowed everywhere.
PLACES = [pytest.param([], id="plain"), *([pytest.param(AS_PROCESS_1, id="process-1")] if may_be_process_1() else [])]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signal_before_anything_was_started(
    number: signal.Signals, status: int, place: list[str], tmp_path: Path
) -> None:
    """A stop signal while the relay reads its configuration ends it at once and without a traceback."""
    with starting(tmp_path, *place) as (process, pid):
        said = ended_by(process, pid, number)

    assert process.returncode == status
    assert said == ""


def test_second_signal_hurries(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """A second SIGTERM cuts off a session in DATA and a request without an answer; the mail of that request is not lost."""
    relay = start_relay(extra="[delivery]\nretry_schedule = ['1s']", relay='stop_timeout = "100s"')
    qboxmail.faults({"action": "delay", "seconds": 90, "count": 1})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("kept")))
    wait_until(qboxmail.requests, what="the request is under way")
    with socket.create_connection((HOST, relay.smtp_port)) as connection:
        connection.sendall(
            b"EHLO x\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: half\r\n\r\nha"
        )
        wait_until(lambda: b"354" in connection.recv(4000), what="354")
        relay.signal(signal.SIGTERM)
        wait_until(lambda: relay.events("relay.stopping"), what="the stop has begun")
        relay.signal(signal.SIGTERM)
        assert relay.wait() == 0
        assert b"250" not in connection.recv(4000)
    assert relay.events("relay.stopped")
    qboxmail.faults()
    relay.start()
    wait_until(lambda: relay.waiting() == 0, what="the mail is sent")

    assert "kept" in {entry["message"]["subject"] for entry in qboxmail.messages()}
    assert "half" not in {entry["message"]["subject"] for entry in qboxmail.messages()}


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_standard_descriptors_that_are_closed(
    closed: str, start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path
) -> None:
    """A relay that is started without standard error, or without any standard stream, takes mail, sends it and stops cleanly."""
    relay = start_relay()
    assert relay.stop() == 0
    relay.start(prefix=["sh", "-c", f'exec "$@" {closed}', "sh"])
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("silent")))
    wait_until(qboxmail.messages, what="the mail is sent")

    assert relay.stop() == 0
