"""A configuration that changes under a running relay: what is taken over, what is refused, and what nobody notices."""

import itertools
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.contract.smtp.harness import PEM
from tests.e2e.test_signals import starting
from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until
from tests.support.service_manager import NotifySocket

StartRelay = Callable[..., Relay]


def reload(relay: Relay) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qboxrelay", "reload", "--config", str(relay.config)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def change(relay: Relay, old: str, new: str) -> None:
    text = relay.config.read_text()
    assert old in text
    relay.config.write_text(text.replace(old, new))


def send(port: int, subject: str, sender: str = "ann@example.com") -> None:
    mail = mails.simple(subject)
    mail.replace_header("From", sender)
    with smtplib.SMTP(HOST, port, timeout=60) as client:
        client.sendmail(sender, ["bob@example.net"], mails.wire(mail))


def test_rules_are_taken_over_and_sessions_go_on(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """A sender rule holds from the reload on, also for a connection that was open before; the command says what changed."""
    relay = start_relay()
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as before:
        before.ehlo()
        with relay.config.open("a") as file:
            file.write('[[senders]]\nname = "no-ann"\nenvelope_from = ["ann@*"]\naction = "refuse"\n')
        done = reload(relay)
        assert (done.returncode, done.stdout) == (0, "Reloaded.\nchanged: senders\n"), done.stderr
        with pytest.raises(smtplib.SMTPDataError, match=r"5\.7\.1"):
            before.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("refused")))
        before.sendmail("eve@example.com", ["bob@example.net"], mails.wire(mails.simple("taken")))
    wait_until(qboxmail.messages, what="the mail is sent")

    assert [entry["message"]["subject"] for entry in qboxmail.messages()] == ["taken"]


def test_bad_configuration_changes_nothing(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Every problem is said with file and line, by the command and in the log; the old configuration goes on."""
    relay = start_relay()
    good = relay.config.read_text()
    change(relay, "[log]", '[log]\nlevle = "debug"')
    line = 1 + relay.config.read_text().splitlines().index('levle = "debug"')
    done = reload(relay)

    assert done.returncode == 1
    assert f"{relay.config}:{line}: log.levle: is no known key; did you mean level?" in done.stderr
    assert done.stderr.endswith("not reloaded; nothing has changed\n")
    (said,) = relay.wait_for("relay.not_reloaded")
    assert f":{line}: log.levle" in said["problems"][0]
    send(relay.smtp_port, "as before")
    relay.config.write_text(good)
    assert reload(relay).returncode == 0


def test_file_that_cannot_be_read_at_all(start_relay: StartRelay) -> None:
    """Where the file does not even say which relay is meant, none is asked."""
    relay = start_relay()
    change(relay, "[log]", "[log")
    done = reload(relay)

    assert done.returncode == 1
    assert re.search(r"qboxrelay\.toml:\d+: ", done.stderr)
    assert "the relay was not asked" in done.stderr
    relay.signal(signal.SIGHUP)
    wait_until(lambda: relay.events("relay.not_reloaded"), what="the relay says what is wrong")
    send(relay.smtp_port, "as before")


def test_listeners_come_and_go(start_relay: StartRelay) -> None:
    """A listener that is added opens; one whose address changes moves; a session of the one that is gone goes on to its end."""
    relay = start_relay()
    first, second, third = relay.smtp_port, free_port(), free_port()
    session = smtplib.SMTP(HOST, first, timeout=60)
    session.ehlo()
    with relay.config.open("a") as file:
        file.write(f'[[listeners]]\nname = "second"\naddress = "{HOST}:{second}"\nmax_recipients = 7\n')
    assert "changed: listeners" in reload(relay).stdout
    send(first, "through the first")
    send(second, "through the second")
    change(relay, f'address = "{HOST}:{first}"', f'address = "{HOST}:{third}"')
    change(relay, "max_recipients = 7", "max_recipients = 8")
    assert reload(relay).returncode == 0
    send(third, "through the third")
    with smtplib.SMTP(HOST, second, timeout=60) as client:
        client.ehlo()
        assert client.esmtp_features["limits"] == "RCPTMAX=8"

    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, first), timeout=10)
    session.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("on the old session")))
    session.quit()


def test_address_that_is_taken_changes_nothing(start_relay: StartRelay) -> None:
    """A new listener that cannot open keeps the whole configuration from being used."""
    relay = start_relay()
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with relay.config.open("a") as file:
            file.write(f'[[listeners]]\nname = "second"\naddress = "{HOST}:{port}"\n')
            file.write('[[senders]]\nname = "nobody"\naction = "refuse"\n')
        done = reload(relay)

    assert done.returncode == 1
    assert f"listener second: cannot listen on {HOST}:{port}" in done.stderr
    send(relay.smtp_port, "no rule holds")


def test_users_limits_certificate_and_log(start_relay: StartRelay, tmp_path: Path) -> None:
    """A door gets TLS, users and a size limit, and the log its level, while a connection without them stays open."""
    relay = start_relay()
    hashed = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "hash-password"], input="secret words", capture_output=True, text=True,
        timeout=60, check=True,
    ).stdout.strip()  # fmt: skip
    pem = tmp_path / "door.pem"
    shutil.copy(PEM, pem)
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as before:
        before.ehlo()
        address = f'address = "{HOST}:{relay.smtp_port}"'
        change(relay, address, f'{address}\ntls = "starttls"\nauth = "required"\nmax_message_bytes = "1MB"')
        change(relay, "[log]", '[log]\nlevel = "warning"')
        with relay.config.open("a") as file:
            file.write(f'[tls]\ncertificate_file = "{pem}"\n[[users]]\nname = "app"\npassword_hash = "{hashed}"\n')
        done = reload(relay)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "Reloaded.\nchanged: listeners, tls, users, log\n"
        before.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("as it began")))
    context = ssl.create_default_context(cafile=str(PEM))
    context.check_hostname = False
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client:
        client.starttls(context=context)
        client.ehlo()
        assert client.esmtp_features["size"] == "1000000"
        client.login("app", "secret words")
        client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("logged in")))

    # The first mail came after the level rose; nothing at info is written from then on.
    assert relay.events("mail.accepted") == []


def test_accounts_are_added_and_changed(start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path) -> None:
    """A new account sends at once; one that was wrong sends what waited for it when it is corrected; one that is gone is named."""
    quick = '[delivery]\nretry_schedule = ["1s"]\nbreaker_pause = "1s"\n'
    relay = start_relay(account='domains = ["example.com"]', extra=quick)
    change(relay, f"{qboxmail.url}/v1", "http://127.0.0.1:9/v1")
    assert reload(relay).returncode == 0
    send(relay.smtp_port, "waits")
    token = tmp_path / "second"
    token.write_text("sandbox-send-token\n")
    token.chmod(0o600)
    second = f'[[accounts]]\nname = "second"\nbase_url = "{qboxmail.url}/v1"\ntoken_file = "{token}"\ndomains = ["example.org"]\n'
    with relay.config.open("a") as file:
        file.write(second)
    assert reload(relay).returncode == 0
    send(relay.smtp_port, "through the second", "ann@example.org")
    wait_until(lambda: len(qboxmail.messages()) == 1, what="the new account sends")
    change(relay, "http://127.0.0.1:9/v1", f"{qboxmail.url}/v1")
    change(relay, second, "")
    done = reload(relay)
    wait_until(lambda: len(qboxmail.messages()) == 2, seconds=90, what="what waited is sent")

    assert "needs a restart: [[accounts]] second" in done.stdout
    assert [entry["message"]["subject"] for entry in qboxmail.messages()] == ["through the second", "waits"]


def test_sender_domains_are_taken_over(start_relay: StartRelay) -> None:
    """Domains that may send are checked from the reload on, then others, then none; the metrics and /readyz follow."""
    relay = start_relay()
    series = 'qboxrelay_sender_domain_status{domain="example.com",status="enabled"}'
    send(relay.smtp_port, "not checked", "ann@example.org")
    with relay.config.open("a") as file:
        file.write('[sender_domains]\ndomains = ["example.com"]\n')
    assert reload(relay).stdout == "Reloaded.\nchanged: sender_domains\n"
    assert relay.metric(series) == 1
    with pytest.raises(smtplib.SMTPDataError, match=r"5\.7\.1"):
        send(relay.smtp_port, "refused", "ann@example.org")
    change(relay, 'domains = ["example.com"]', 'domains = ["example.org"]')
    assert reload(relay).returncode == 0
    assert relay.metric(series) == 0
    send(relay.smtp_port, "taken", "ann@example.org")
    change(relay, '[sender_domains]\ndomains = ["example.org"]\n', "")
    assert reload(relay).returncode == 0
    send(relay.smtp_port, "not checked again", "eve@example.net")


def test_what_needs_a_restart_is_named(start_relay: StartRelay) -> None:
    """Keys that cannot change are said by name, and what can change does."""
    relay = start_relay()
    with relay.config.open("a") as file:
        file.write(
            '[spool]\nmax_messages = 5\nkeep_trail = "1d"\n[delivery]\nmax_age = "1d"\n[mapping]\nempty_subject = "-"\n'
        )
    done = reload(relay)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Reloaded.",
        "changed: mapping",
        "needs a restart: [spool] max_messages",
        "needs a restart: [spool] keep_trail",
        "needs a restart: [delivery] max_age",
    ]


def test_removed_user_sends_nothing_more(start_relay: StartRelay) -> None:
    """A connection that logged in before its user was removed goes on, but no mail of it is taken."""
    hashed = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "hash-password"], input="secret words", capture_output=True, text=True,
        timeout=60, check=True,
    ).stdout.strip()  # fmt: skip
    user = f'[[users]]\nname = "app"\npassword_hash = "{hashed}"\n'
    access = 'auth = "optional"\nauth_without_tls = true'
    relay = start_relay(listener=access, extra=user)
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client:
        client.login("app", "secret words")
        client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("before")))
        change(relay, user, "")
        change(relay, access, "")
        assert reload(relay).returncode == 0
        with pytest.raises(smtplib.SMTPDataError, match=r"5\.7\.1 This login"):
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("after")))
        assert client.noop()[0] == 250
    send(relay.smtp_port, "without a login")


def test_hangup_while_it_starts(tmp_path: Path) -> None:
    """A SIGHUP that comes before there is anything to reload does not end the relay."""
    with starting(tmp_path) as (process, pid):
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGTERM)
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, "")


def test_no_relay_runs(start_relay: StartRelay) -> None:
    relay = start_relay()
    assert relay.stop() == 0
    done = reload(relay)

    assert done.returncode == 1
    assert "no relay runs on the spool in" in done.stderr


class Traffic:
    """Clients that send for as long as the block lasts, over connections that stay and over new ones."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._enough = threading.Event()
        self.sent: list[str] = []
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._client, args=(work, f"{work.__name__}{one}"))
            for one in range(3)
            for work in (self._stays, self._comes_anew)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(60)

    def _client(self, work: Callable[[str], None], name: str) -> None:
        try:
            work(name)
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.failures.append(f"{name}: {error!r}")

    def _stays(self, name: str) -> None:
        with smtplib.SMTP(HOST, self._port, timeout=60) as client:
            for number in itertools.takewhile(lambda _: not self._enough.is_set(), itertools.count()):
                subject = f"{name}-{number}"
                client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple(subject)))
                self.sent.append(subject)

    def _comes_anew(self, name: str) -> None:
        for number in itertools.takewhile(lambda _: not self._enough.is_set(), itertools.count()):
            send(self._port, f"{name}-{number}")
            self.sent.append(f"{name}-{number}")


def test_under_traffic(qboxmail: Sandbox, tmp_path: Path) -> None:
    """Reload after reload while clients send over connections old and new: no session ends, every mail that got 250 arrives once, and the
    service manager hears of each reload.
    """
    manager = NotifySocket()
    relay = Relay(tmp_path / "relay", qboxmail.url)
    relay.start(environment=manager.environ)
    began, address = relay.config.read_text(), f'address = "{HOST}:{relay.smtp_port}"'
    try:
        with Traffic(relay.smtp_port) as traffic:
            for number in range(6):
                before = len(traffic.sent)
                limits = f"max_recipients = {100 + number}\nmax_connections = {900 + number}"
                relay.config.write_text(began.replace(address, f"{address}\n{limits}"))
                done = reload(relay)
                assert done.returncode == 0, done.stderr
                manager.wait_for("READY=1", times=number + 2)
                wait_until(lambda before=before: traffic.failures or len(traffic.sent) > before + 20, what="mail flows")
        wait_until(lambda: len(qboxmail.messages()) >= len(traffic.sent), what="all is sent")
        assert relay.stop() == 0
    finally:
        relay.close()

    assert traffic.failures == []
    assert sorted(entry["message"]["subject"] for entry in qboxmail.messages()) == sorted(traffic.sent)
    assert manager.count("RELOADING=1") == 6
    manager.close()
