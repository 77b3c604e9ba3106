"""Several processes that take mail (`[relay] workers`): every promise of a single process holds, whichever of them ends, and when.

In: the relay with its workers as real processes. Out: verdicts by the two ledgers. Never: a look inside a process.
"""

import contextlib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from qboxrelay.failpoints import VARIABLE
from tests.contract.smtp.harness import PEM
from tests.e2e import test_domains as domains
from tests.support import mails
from tests.support.ledger import Clients, drained, judge
from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until
from tests.support.service_manager import NotifySocket, handing_over

StartRelay = Callable[..., Relay]
TWO = "workers = 2"
QUICK = '[delivery]\nretry_schedule = ["1s"]\nlease = "20s"\nrequest_deadline = "5s"\nconnect_timeout = "2s"'


def workers(relay: Relay) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(relay.pid()).children()
        return [one for one in children if "qboxrelay.cli.worker" in one.cmdline()]
    return []


def ended(process: psutil.Process) -> bool:
    """Gone, or waiting only for somebody to ask for its status."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def all_take_mail(relay: Relay) -> None:
    wait_until(lambda: relay.metric("qboxrelay_workers") == 2, seconds=60, what="both workers take mail")


def kill_all(relay: Relay) -> None:
    """Until main knows: what was handed to a process that has just died is lost with it."""
    for worker in workers(relay):
        worker.kill()
    wait_until(lambda: len(relay.events("worker.ended")) == 2, seconds=60, what="main knows that both are gone")


@contextmanager
def clients(relay: Relay, count: int) -> Iterator[list[smtplib.SMTP]]:
    """Open connections: they are spread over the workers as evenly as can be."""
    with ExitStack() as stack:
        yield [stack.enter_context(smtplib.SMTP(HOST, relay.smtp_port, timeout=60)) for _ in range(count)]


def send(client: smtplib.SMTP, subject: str) -> None:
    client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple(subject)))


def command(relay: Relay, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qboxrelay", *words, "--config", str(relay.config)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_one_relay(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Connections are spread, each line says which worker wrote it, and one endpoint counts for all, exemplars included."""
    relay = start_relay(relay=TWO)
    with clients(relay, 4) as open_ones:
        for number, client in enumerate(open_ones):
            send(client, f"mail-{number}")
        open_now = relay.metric('qboxrelay_smtp_sessions_open{listener="smtp"}')
    drained(relay)
    taken = relay.events("mail.accepted")
    wait_until(lambda: not relay.metric('qboxrelay_smtp_sessions_open{listener="smtp"}'), what="all have gone")
    text = httpx.get(
        f"http://{HOST}:{relay.http_port}/metrics",
        headers={"Accept": "application/openmetrics-text"}, timeout=60, trust_env=False,
    ).text  # fmt: skip

    assert sorted(line["worker"] for line in taken) == [1, 1, 2, 2]
    assert open_now == 4
    assert relay.metric("qboxrelay_mails_accepted_total") == 4
    assert relay.metric('qboxrelay_smtp_sessions_total{listener="smtp"}') == 4
    assert relay.metric("qboxrelay_mail_taking_seconds_count") == 4
    assert relay.metric("qboxrelay_worker_restarts_total") == 0
    (transaction,) = re.findall(
        r'^qboxrelay_mails_accepted_total 4\.0 # {transaction_id="(\w+)"} 1\.0 \S+$', text, re.MULTILINE
    )
    assert transaction in {line["transaction"] for line in taken}
    assert text.count("# TYPE qboxrelay_mails_accepted ") == 1
    assert "_created" not in text
    assert len(qboxmail.messages()) == 4


def test_no_secret_is_handed_over(start_relay: StartRelay) -> None:
    """What a worker needs comes over its channel: nothing is to be seen by who lists processes, and Send API tokens are main's alone."""
    relay = start_relay(relay=TWO)
    for worker in workers(relay):
        seen = " ".join([*worker.cmdline(), *worker.environ().values()])
        assert "sandbox-send-token" not in seen
        assert not [name for name in worker.environ() if name.startswith("QBOXRELAY_")]


def test_a_worker_is_killed_under_load(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Its sessions break off, those of the others go on, another one takes its place; nothing that was answered 250 is lost or doubled."""
    relay = start_relay(relay=TWO, extra=QUICK)
    applications = Clients()
    threads = applications.load(relay.smtp_port, "killed", clients=4, mails_each=50)
    wait_until(lambda: len(applications.acked) > 20, what="mail flows")
    (victim, other) = workers(relay)
    victim.kill()
    for thread in threads:
        thread.join(120)
    all_take_mail(relay)
    drained(relay)

    (said,) = relay.events("worker.ended")
    assert said["status"] == -signal.SIGKILL
    assert relay.metric("qboxrelay_worker_restarts_total") == 1
    assert not ended(other)
    assert victim.pid not in {one.pid for one in workers(relay)}
    assert len(applications.acked) > 150
    assert relay.metric("qboxrelay_mails_accepted_total") <= 200
    judge(relay, qboxmail, applications)


def test_all_workers_are_killed(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Connections wait until one is there again."""
    relay = start_relay(relay=TWO)
    kill_all(relay)
    with clients(relay, 2) as (first, second):
        send(first, "one")
        send(second, "two")
    all_take_mail(relay)
    drained(relay)

    assert len(relay.events("worker.ended")) == 2
    assert {entry["message"]["subject"] for entry in qboxmail.messages()} == {"one", "two"}


@pytest.mark.parametrize("point", ["before-commit", "after-commit", "after-claim", "after-answer"])
def test_main_is_killed(point: str, start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """The workers end by themselves, without a 250 for what is not safe; the next start finds what was answered."""
    relay = start_relay(relay=TWO, extra=QUICK)
    relay.stop()
    relay.start(environment={VARIABLE: point})
    left_behind = workers(relay)
    applications = Clients()
    threads = applications.load(relay.smtp_port, point, clients=4, mails_each=10)
    wait_until(relay.died, what="the relay reached the point")
    for thread in threads:
        thread.join(60)
    wait_until(lambda: all(map(ended, left_behind)), seconds=60, what="the workers have ended")

    relay.start()
    drained(relay)

    assert len(left_behind) == 2
    judge(relay, qboxmail, applications, may_repeat=4 if point == "after-answer" else 0)
    if point == "before-commit":
        assert applications.unknown | applications.nacked.keys()
        assert not qboxmail.messages(), "what was not committed was delivered"


@pytest.mark.parametrize("to_the_group", [False, True])
def test_stop_under_load(to_the_group: bool, start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Ctrl-C and systemd signal the whole group: the workers wait for main's word, finish their mails, and end with it."""
    relay = start_relay(relay=TWO, extra=QUICK)
    applications = Clients()
    threads = applications.load(relay.smtp_port, "stop", clients=4, mails_each=30)
    wait_until(lambda: len(applications.acked) > 10, what="mail flows")
    all_of_them = workers(relay)
    if to_the_group:
        os.killpg(relay.pid(), signal.SIGINT)
    else:
        relay.signal(signal.SIGTERM)
    status = relay.wait()
    for thread in threads:
        thread.join(120)

    assert status == 0
    assert len(all_of_them) == 2
    assert all(map(ended, all_of_them))
    assert not relay.events("worker.ended")
    assert not relay.events("sessions.cut_off")
    relay.start()
    drained(relay)
    judge(relay, qboxmail, applications)


def test_second_signal_cuts_off(start_relay: StartRelay) -> None:
    """Nobody waits for a client in the middle of a mail when it is said twice."""
    relay = start_relay(relay=f'{TWO}\nstop_timeout = "10m"')
    with clients(relay, 2) as open_ones:
        for client in open_ones:
            client.ehlo()
            client.mail("ann@example.com")
            client.rcpt("bob@example.net")
            client.putcmd("DATA")
            assert client.getreply()[0] == 354
        relay.signal(signal.SIGTERM)
        wait_until(lambda: relay.events("relay.stopping"), what="the stop began")
        relay.signal(signal.SIGTERM)

        assert relay.wait() == 0
    assert {line["worker"] for line in relay.events("sessions.cut_off")} == {1, 2}


def test_reload(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Both workers have the new rules, the new door is open, and sessions go on; a configuration that cannot be used changes nothing."""
    relay = start_relay(relay=TWO)
    port = free_port()
    with clients(relay, 2) as open_ones:
        good = relay.config.read_text()
        relay.config.write_text(f'{good}\n[tls]\ncertificate_file = "{relay.directory / "token"}"\n')
        refused = command(relay, "reload")
        relay.config.write_text(
            f'{good}\n[[listeners]]\nname = "second"\naddress = "{HOST}:{port}"\n'
            '[[senders]]\nname = "no-eve"\nenvelope_from = ["eve@*"]\naction = "refuse"\n'
        )
        done = command(relay, "reload")
        for number, client in enumerate(open_ones):
            with pytest.raises(smtplib.SMTPDataError, match=r"5\.7\.1"):
                client.sendmail("eve@example.com", ["bob@example.net"], mails.wire(mails.simple("refused")))
            send(client, f"old-door-{number}")
        for number in range(2):
            with smtplib.SMTP(HOST, port, timeout=60) as client:
                send(client, f"new-door-{number}")
    drained(relay)

    assert refused.returncode == 1
    assert "nothing has changed" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert len(qboxmail.messages()) == 4
    assert {line["worker"] for line in relay.events("mail.refused")} == {1, 2}


def test_reload_and_a_worker_that_is_new(start_relay: StartRelay) -> None:
    """A worker that is started later begins with the configuration that is in force."""
    relay = start_relay(relay=TWO)
    with relay.config.open("a") as file:
        file.write('[[senders]]\nname = "no-ann"\nenvelope_from = ["ann@*"]\naction = "refuse"\n')
    assert command(relay, "reload").returncode == 0
    kill_all(relay)
    with clients(relay, 2) as open_ones:
        for client in open_ones:
            with pytest.raises(smtplib.SMTPDataError, match=r"5\.7\.1"):
                send(client, "refused")


def test_a_worker_that_is_new_knows_the_domains_of_now(
    start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path
) -> None:
    """The Management API has listed others since the relay's start: a worker that is started later does not refuse their mail."""
    section = domains.section(tmp_path / "relay", qboxmail.url, 'refresh = "1h"')
    relay = start_relay(relay=TWO, extra=section, account=domains.ACCOUNT)
    assert domains.said(relay.smtp_port, "not-verified.example").startswith("550")
    domains.change(qboxmail, "not-verified.example", display_status="enabled")
    assert domains.qboxrelay("domains", "refresh", "--config", relay.config).returncode == 0
    wait_until(lambda: domains.said(relay.smtp_port, "not-verified.example").startswith("250"), what="the relay knows")
    kill_all(relay)

    assert [domains.said(relay.smtp_port, "not-verified.example")[:3] for _ in range(3)] == ["250"] * 3


def test_nothing_is_imported_from_the_current_folder(
    start_relay: StartRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's, or a clone of another version."""
    (tmp_path / "qboxrelay").mkdir()
    (tmp_path / "qboxrelay" / "__init__.py").write_text("raise SystemExit('of the current folder')")
    relay = start_relay()
    relay.stop()
    monkeypatch.chdir(tmp_path)
    program = Path(sys.executable).with_name("qboxrelay")
    relay.config.write_text(relay.config.read_text().replace("[relay]\n", f"[relay]\n{TWO}\n", 1))
    with subprocess.Popen([program, "run", "--config", relay.config], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            lines: list[str] = []
            while not lines or "relay.started" not in lines[-1]:
                lines.append(running.stderr.readline())
                assert lines[-1], lines
        finally:
            running.terminate()
            running.stderr.read()

    assert running.returncode == 0


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_client"])
def test_limits_are_the_relays(limit: str, start_relay: StartRelay) -> None:
    """So many connections over all workers; one that ends makes room."""
    relay = start_relay(relay=TWO, listener=f"{limit} = 3")
    with clients(relay, 3) as open_ones:
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            smtplib.SMTP(HOST, relay.smtp_port, timeout=60)
        assert refused.value.smtp_code == 421
        open_ones[0].quit()

        def let_in() -> bool:
            with contextlib.suppress(smtplib.SMTPConnectError), smtplib.SMTP(HOST, relay.smtp_port, timeout=60):
                return True
            return False

        wait_until(let_in, what="there is room again")
        for client in open_ones[1:]:
            assert client.noop()[0] == 250
    assert relay.metric(f'qboxrelay_smtp_limited_total{{limit="{limit}"}}') >= 1


def test_the_spools_limit_is_one(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Exactly so many mails wait, whoever took them; the others are told 452."""
    relay = start_relay(relay=TWO, extra="[spool]\nmax_messages = 7")
    qboxmail.faults({"action": "status", "status": 503})
    applications = Clients()
    for thread in applications.load(relay.smtp_port, "full", clients=4, mails_each=5):
        thread.join(60)
    waiting = relay.waiting()
    qboxmail.faults()
    drained(relay)

    assert waiting == len(applications.acked) == 7
    assert set(applications.nacked.values()) == {452}
    judge(relay, qboxmail, applications)


def test_confirm(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """The verdict goes back to the worker whose client waits: 250 with the API's ids, or 554 with its words."""
    relay = start_relay(relay=TWO, listener='accept = "confirm"')
    with clients(relay, 2) as open_ones:
        for number, client in enumerate(open_ones):
            client.ehlo()
            client.mail("ann@example.com")
            client.rcpt("bob@example.net")
            code, text = client.data(mails.wire(mails.simple(f"fine-{number}")))
            assert (code, b"Ok: sent as" in text) == (250, True)
        qboxmail.faults(
            {"action": "status", "status": 400, "body": {"error_code": 400, "message": "poison"}, "count": 1}
        )
        with pytest.raises(smtplib.SMTPDataError, match="poison"):
            send(open_ones[0], "poison")
    assert relay.metric('qboxrelay_confirmations_total{verdict="sent"}') == 2
    assert relay.metric('qboxrelay_confirmations_total{verdict="refused"}') == 1


def test_doors_that_begin_otherwise(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Implicit TLS and PROXY headers; a client that fails at them leaves no connection behind in the count."""
    ports = free_port(), free_port()
    relay = start_relay(
        relay=TWO,
        extra=f'[[listeners]]\nname = "smtps"\naddress = "{HOST}:{ports[0]}"\ntls = "implicit"\nmax_connections = 1\n'
        f'[[listeners]]\nname = "proxied"\naddress = "{HOST}:{ports[1]}"\nproxy_protocol = true\ntrusted_proxies = ["{HOST}"]\n'
        f'max_connections = 1\n[tls]\ncertificate_file = "{PEM}"\n',
    )
    for port in ports:
        with socket.create_connection((HOST, port), timeout=60) as stranger:
            stranger.sendall(b"no such greeting\r\n" * 20)
            with contextlib.suppress(ConnectionError):
                while stranger.recv(1000):
                    pass

    def tls() -> bool:
        with (
            contextlib.suppress(OSError, smtplib.SMTPException),
            smtplib.SMTP_SSL(HOST, ports[0], timeout=60) as client,
        ):
            send(client, "over TLS")
            return True
        return False

    def proxied() -> bytes:
        with socket.create_connection((HOST, ports[1]), timeout=60) as connection:
            connection.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 25\r\n")
            return connection.recv(1000)

    wait_until(tls, what="the door with TLS has room")
    wait_until(lambda: proxied().startswith(b"220"), what="the door behind the proxy has room")
    drained(relay)

    assert [entry["message"]["subject"] for entry in qboxmail.messages()] == ["over TLS"]


def test_sockets_of_the_service_manager(qboxmail: Sandbox, tmp_path: Path) -> None:
    """Main takes them, and says when it is ready; the watchdog is fed."""
    manager = NotifySocket(watchdog_seconds=4)
    relay = Relay(tmp_path / "relay", qboxmail.url, relay=TWO)
    with socket.create_server((HOST, relay.smtp_port)) as held:
        try:
            prefix = handing_over(held.fileno(), names=["smtp"])
            relay.start(prefix=prefix, environment=manager.environ, pass_fds=[held.fileno()])
            manager.wait_for("READY=1")
            with clients(relay, 2) as open_ones:
                for number, client in enumerate(open_ones):
                    send(client, f"activated-{number}")
            manager.wait_for("WATCHDOG=1", times=2)
            drained(relay)
            assert relay.stop() == 0
        finally:
            relay.close()
            manager.close()

    assert len(qboxmail.messages()) == 2


def test_a_stuck_worker_starves_the_watchdog(qboxmail: Sandbox, tmp_path: Path) -> None:
    """A relay whose worker does not answer is not well, and says of it what it knows."""
    manager = NotifySocket(watchdog_seconds=2)
    relay = Relay(tmp_path / "relay", qboxmail.url, relay=TWO)
    try:
        relay.start(environment=manager.environ)
        manager.wait_for("WATCHDOG=1")
        workers(relay)[0].suspend()
        wait_until(lambda: relay.events("watchdog.stuck"), seconds=60, what="it is noticed")
        (said, *_) = relay.events("watchdog.stuck")
    finally:
        relay.close()
        manager.close()

    assert said["parts"] == ["workers"]


def test_wirelog(start_relay: StartRelay) -> None:
    """Every worker looks at who is watched."""
    relay = start_relay(relay=TWO)
    assert command(relay, "wirelog", HOST).returncode == 0
    with clients(relay, 2) as open_ones:
        for client in open_ones:
            client.ehlo("device.example")

    heard = [line for line in relay.events("wire.client") if line["line"] == "ehlo device.example"]
    assert {line["worker"] for line in heard} == {1, 2}


def test_readiness(start_relay: StartRelay) -> None:
    """/readyz says how many workers run."""
    relay = start_relay(relay=TWO)
    found = httpx.get(f"http://{HOST}:{relay.http_port}/readyz", timeout=60, trust_env=False).json()

    assert found["workers"] == {"wanted": 2, "running": 2}


def test_large_mails_beside_small_ones(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """What travels to main in pieces arrives whole, and what is small passes between."""
    relay = start_relay(relay=TWO)
    attachment = mails.pattern(3_000_000)
    with clients(relay, 4) as (first, second, third, fourth):
        for number, client in enumerate((first, second)):
            large = mails.wire(mails.rich(f"large-{number}", attachment))
            client.sendmail("ann@example.com", ["bob@example.net"], large)
        send(third, "small-0")
        send(fourth, "small-1")
    drained(relay)

    found = {entry["message"]["subject"]: entry["message"] for entry in qboxmail.messages()}
    assert set(found) == {"large-0", "large-1", "small-0", "small-1"}
    assert found["large-0"]["attachments"] == found["large-1"]["attachments"]
