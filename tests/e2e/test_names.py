"""The API's name: a resolver that is slow, and a first address behind which nothing answers.

The relay sees another /etc than this machine, by a mount namespace of its own. Where /etc/hosts is a pipe, a look-up waits until somebody
opens its other end.
"""

import contextlib
import os
import shutil
import smtplib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

SETTINGS = '[delivery]\nretry_schedule = ["1s"]\nconnect_timeout = "2s"\nrequest_deadline = "5s"\nlease = "30s"\nbreaker_pause = "1s"'


def names_of_its_own(etc: Path) -> Sequence[str]:
    """The words before a command that let it see this folder as /etc, and ask nobody else for names."""
    (etc / "nsswitch.conf").write_text("hosts: files\n")
    (etc / "host.conf").write_text("multi on\n")
    for name in ("passwd", "ld.so.cache"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), etc / name)
    script = f'mount --bind "{etc}" /etc && exec "$@"'
    for namespace in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        words = [*namespace, "sh", "-c", script, "sh"]
        if subprocess.run([*words, "true"], capture_output=True, timeout=60, check=False).returncode == 0:
            return words
    pytest.skip("no mount namespace can be made here: unshare needs root, or user namespaces")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@contextmanager
def relaying(etc: Path, port: int) -> Iterator[Relay]:
    relay = Relay(etc.parent / "relay", f"http://localhost:{port}", extra=SETTINGS)
    try:
        yield relay.start(prefix=names_of_its_own(etc))
    finally:
        relay.close()


def send(relay: Relay, subject: str) -> None:
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client:
        client.send_message(mails.simple(subject), "ann@example.com", ["bob@example.net"])


def test_slow_resolver_keeps_nobody_waiting(etc: Path, qboxmail: Sandbox) -> None:
    """While no name can be looked up the door takes mail and the status answers; when names are found again, all leaves once."""
    os.mkfifo(etc / "hosts")
    with relaying(etc, qboxmail.port) as relay:
        for number in range(20):
            send(relay, f"m{number}")
        wait_until(lambda: relay.metric('qboxrelay_attempts_total{account="default",outcome="deferred"}'), what="a try")
        for number in range(20, 40):
            send(relay, f"m{number}")
            assert relay.ready()
        assert qboxmail.messages() == []

        (etc / "found").write_text("127.0.0.1 localhost\n")
        (etc / "hosts").rename(etc / "slow")
        (etc / "found").rename(etc / "hosts")
        # Whoever still waits at the pipe finds it empty.
        os.close(os.open(etc / "slow", os.O_RDWR | os.O_NONBLOCK))
        wait_until(lambda: relay.waiting() == 0, seconds=60, what="the spool is empty")
    assert sorted(entry["message"]["subject"] for entry in qboxmail.messages(content=0)) == sorted(
        f"m{number}" for number in range(40)
    )


def test_stop_does_not_wait_for_a_name(etc: Path, qboxmail: Sandbox) -> None:
    """SIGTERM while a look-up hangs: the relay ends within its stop timeout, with the mail in the spool."""
    os.mkfifo(etc / "hosts")
    with relaying(etc, qboxmail.port) as relay:
        send(relay, "waits")
        wait_until(lambda: relay.metric('qboxrelay_send_requests_in_flight{account="default"}'), what="a request")
        assert relay.stop() == 0
        assert relay.events("relay.stopped")


def test_address_that_does_not_answer_is_passed_over(etc: Path, qboxmail: Sandbox) -> None:
    """The name has an IPv6 address behind which nothing answers, and an IPv4 address that works: mail leaves by the second."""
    (etc / "hosts").write_text("::1 localhost\n127.0.0.1 localhost\n")
    with black_hole(qboxmail.port), relaying(etc, qboxmail.port) as relay:
        for number in range(3):
            send(relay, f"m{number}")
        wait_until(lambda: relay.waiting() == 0, seconds=60, what="the spool is empty")
        deferred = relay.metric('qboxrelay_attempts_total{account="default",outcome="deferred"}')
    assert len(qboxmail.messages(content=0)) == 3
    assert deferred == 0


@contextmanager
def black_hole(port: int) -> Iterator[None]:
    """On [::1]: a listener whose queue is full, so that the system drops every further attempt to connect."""
    with ExitStack() as stack:
        try:
            listening = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
            listening.bind(("::1", port))
        except OSError as error:
            pytest.skip(f"IPv6 is not there: {error}")
        listening.listen(0)
        for _ in range(8):
            filling = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
            filling.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filling.connect(("::1", port))
        yield
