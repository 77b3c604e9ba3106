"""PostgreSQL stops, crashes, hangs or only reads while a relay runs: what is answered is true and in time, and all goes on by itself."""

import shutil
import signal
import smtplib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest

from qboxrelay.failpoints import VARIABLE
from tests.support import mails
from tests.support.cluster import Spool, judge
from tests.support.disk import eat, mounted
from tests.support.ledger import DOMAIN, RECIPIENT, Clients, body_of
from tests.support.postgres import Cluster, require_postgres
from tests.support.processes import HOST, Relay, Sandbox, wait_until
from tests.support.tcp_proxy import tcp_proxy

HASTY = 'commit_timeout = "2s"\nconnect_timeout = "2s"'
FALLBACK = 'commit_timeout = "2s"\nconnect_timeout = "2s"\nfallback = "local"'
PATIENT = 'commit_timeout = "45s"'
"""Longer than the server is away, and shorter than the clients wait."""
ACTIVE, LEFT = "qboxrelay_spool_fallback_active", "qboxrelay_spool_fallback_messages"

pytestmark = pytest.mark.timeout(600)


class Trouble:
    """One server, and what may happen to it."""

    def __init__(self, server: Cluster) -> None:
        self.server = server

    def begin(self, kind: str) -> None:
        getattr(self, f"_{kind}")()

    def end(self, kind: str) -> None:
        getattr(self, f"_no_longer_{kind}")()

    def _stopped(self) -> None:
        self.server.halt("fast")

    def _no_longer_stopped(self) -> None:
        self.server.start()

    def _frozen(self) -> None:
        self.server.freeze()

    def _no_longer_frozen(self) -> None:
        self.server.thaw()

    def _reading(self) -> None:
        self._only_reads("on")

    def _no_longer_reading(self) -> None:
        self._only_reads("off")

    def _only_reads(self, word: str) -> None:
        """As a standby does: every connection, those that are open too."""
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}".encode())
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self._says() == word, what="the server has read its settings")

    def _says(self) -> str:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            row = connection.execute("SHOW default_transaction_read_only").fetchone()
            return str(row[0]) if row else ""


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server of these tests' own, because of what happens to it."""
    require_postgres()
    server = Cluster()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def trouble(server: Cluster) -> Trouble:
    return Trouble(server)


@pytest.fixture
def database(server: Cluster) -> str:
    return server.new_database()


@pytest.fixture
def made(tmp_path: Path, qboxmail: Sandbox, database: str) -> Iterator[Relay]:
    """A relay that is not started, with a fallback."""
    relay = relay_of(tmp_path, qboxmail.url, database, FALLBACK)
    yield relay
    relay.close()


def relay_of(directory: Path, api: str, database: str, spool: str) -> Relay:
    extra = f'[spool]\nurl = "{database}"\n{spool}\n[delivery]\nretry_schedule = ["1s"]\n'
    return Relay(directory / "relay", api, extra=extra)


def say(client: smtplib.SMTP, clients: Clients, token: str, attachment: bytes = b"") -> tuple[int, str]:
    """One mail on a session that goes on whatever the answer is."""
    sender = f"{token}@{DOMAIN}"
    client.ehlo_or_helo_if_needed()
    assert client.mail(sender)[0] == 250
    assert client.rcpt(RECIPIENT)[0] == 250
    mail = mails.simple(token, sender=sender, body=body_of(token))
    if attachment:
        mail.add_attachment(attachment, "application", "octet-stream")
    code, text = client.data(mails.wire(mail))
    clients.note(token, code)
    return code, text.decode()


def taken(client: smtplib.SMTP, clients: Clients, token: str) -> None:
    """Sooner or later: a machine that is busy may take longer than this relay waits."""
    numbers = count()
    wait_until(lambda: say(client, clients, f"{token}-{next(numbers)}")[0] == 250, what="mail is taken")


def readiness(relay: Relay) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"http://{HOST}:{relay.http_port}/readyz", timeout=60, trust_env=False).json()
    return found


@pytest.mark.parametrize("kind", ["stopped", "frozen", "reading"])
def test_without_a_fallback(kind: str, trouble: Trouble, tmp_path: Path, qboxmail: Sandbox, database: str) -> None:
    """Mail is answered 451 and sessions stay; once the server is back all goes on without a hand."""
    clients = Clients()
    relay = relay_of(tmp_path, qboxmail.url, database, HASTY).start()
    try:
        with smtplib.SMTP(HOST, relay.smtp_port, timeout=120) as client:
            taken(client, clients, f"{kind}-before")
            trouble.begin(kind)
            try:
                for n in range(2):
                    code, text = say(client, clients, f"{kind}-away{n}")
                    assert (code, text[:5]) == (451, "4.3.0"), text
                assert client.noop()[0] == 250
                if kind != "reading":
                    page = httpx.get(f"http://{HOST}:{relay.http_port}/", timeout=60, trust_env=False)
                    assert page.status_code == 503
                    assert "The spool cannot be read since" in page.text
                wait_until(lambda: relay.answers(503), what="the relay says that it cannot take mail")
                assert "spool" in str(readiness(relay))
            finally:
                trouble.end(kind)

            wait_until(relay.ready, what="the relay can take mail again")
            taken(client, clients, f"{kind}-after")
        spool = Spool(database)
        spool.drained()
        judge(spool, qboxmail, clients, kind)
        assert relay.stop() == 0
    finally:
        relay.close()


@pytest.mark.parametrize("kind", ["stopped", "frozen", "reading"])
def test_with_a_fallback(kind: str, trouble: Trouble, made: Relay, qboxmail: Sandbox, database: str) -> None:
    """Mail is taken all the time, goes to the server once and in order, and what the relay shows of itself is right."""
    clients, relay = Clients(), made.start()
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=120) as client:
        assert say(client, clients, f"{kind}-before")[0] == 250
        relay.wait_for_metric(ACTIVE, 0)
        trouble.begin(kind)
        try:
            for n in range(5):
                assert say(client, clients, f"{kind}-away{n}")[0] == 250
            assert relay.ready()
            assert relay.metric(ACTIVE) == 1
            assert relay.metric(LEFT) == 5
            shown = readiness(relay)["fallback"]
            assert isinstance(shown, dict)
            assert shown["messages"] == 5
            assert shown["reason"]
        finally:
            trouble.end(kind)
        relay.wait_for_metric(ACTIVE, 0)
        assert say(client, clients, f"{kind}-after")[0] == 250
    assert relay.metric(LEFT) == 0
    spool = Spool(database)
    spool.drained()

    verdict = judge(spool, qboxmail, clients, kind)

    assert verdict.stored == verdict.acked == 7
    assert verdict.repeated == 0
    rows = list(spool.rows(kind))
    assert rows == [f"{kind}-before", *(f"{kind}-away{n}" for n in range(5)), f"{kind}-after"]
    times = len(relay.events("fallback.active"))
    assert len(relay.wait_for("fallback.over", times)) == times, "one line for each change"
    assert relay.stop() == 0


@pytest.mark.parametrize("settings", [PATIENT, FALLBACK], ids=["waits", "fallback"])
def test_crashes_under_load(settings: str, server: Cluster, tmp_path: Path, qboxmail: Sandbox, database: str) -> None:
    """The server crashes again and again among commits: everything that was answered 250 arrives, and nothing twice."""
    clients, spool = Clients(), Spool(database)
    relay = relay_of(tmp_path, qboxmail.url, database, settings).start()
    try:
        threads = clients.load(relay.smtp_port, "crash", clients=6, mails_each=60)
        for n in range(1, 4):
            wait_until(lambda n=n: len(clients.acked) > 60 * n, what="mail is taken")
            server.halt("immediate")
            server.start()
        for thread in threads:
            thread.join(300)
        if settings is FALLBACK:
            relay.wait_for_metric(LEFT, 0)
        spool.drained()

        verdict = judge(spool, qboxmail, clients, "crash")

        assert verdict.repeated == verdict.unheard == 0, verdict
        assert not verdict.stored_though_refused
        assert verdict.acked == 360, (verdict, clients.nacked)
        assert relay.stop() == 0
    finally:
        relay.close()


def test_outcomes_are_kept(server: Cluster, tmp_path: Path, qboxmail: Sandbox, database: str) -> None:
    """The API accepts while nobody can write it down: it is recorded when the server is back, and nothing is sent again."""
    clients, spool = Clients(), Spool(database)
    with tcp_proxy(qboxmail.port) as api:
        relay = relay_of(tmp_path, f"http://{HOST}:{api.port}", database, FALLBACK).start()
        try:
            api.hold_answers()
            clients.send(relay.smtp_port, ["kept-1"])
            wait_until(qboxmail.messages, what="the API has it")
            server.halt("fast")
            try:
                api.heal()
                relay.wait_for("record.failed")
            finally:
                server.start()
            spool.drained()

            verdict = judge(spool, qboxmail, clients, "kept")

            assert (verdict.acked, verdict.repeated, verdict.doubts) == (1, 0, 0), verdict
        finally:
            relay.close()


def test_start_while_the_server_is_away(server: Cluster, made: Relay, qboxmail: Sandbox, database: str) -> None:
    """With a fallback the relay takes mail at once, also after another start; later it all arrives."""
    clients, spool = Clients(), Spool(database)
    server.halt("fast")
    try:
        for n in (1, 2):
            made.start()
            clients.send(made.smtp_port, [f"start-{n}{letter}" for letter in "abc"])
            assert made.metric(LEFT) == 3 * n
            assert made.metric(ACTIVE) == 1
            if n == 1:
                made.kill()
    finally:
        server.start()
    made.wait_for_metric(ACTIVE, 0)
    spool.drained()

    verdict = judge(spool, qboxmail, clients, "start")

    assert verdict.acked == 6
    assert verdict.repeated == 0
    assert list(spool.rows("start")) == [f"start-{n}{letter}" for n in (1, 2) for letter in "abc"]
    assert made.stop() == 0


@pytest.mark.parametrize("point", ["fallback-taken", "fallback-moved", "fallback-dropped"])
def test_killed_while_it_moves(point: str, server: Cluster, made: Relay, qboxmail: Sandbox, database: str) -> None:
    """Killed before, between and after the two commits: each mail is stored once, and sent again only where nobody could know."""
    clients, spool = Clients(), Spool(database)
    server.halt("fast")
    try:
        made.start(environment={VARIABLE: point})
        clients.send(made.smtp_port, [f"moved-{n}" for n in range(10)])
        assert len(clients.acked) == 10
    finally:
        server.start()
    wait_until(made.died, what="the relay reached the point")

    made.start()
    made.wait_for_metric(ACTIVE, 0)
    spool.drained()

    verdict = judge(spool, qboxmail, clients, "moved")

    assert verdict.stored == 10
    assert made.metric(LEFT) == 0


def test_refused_without_a_fallback(server: Cluster, tmp_path: Path, qboxmail: Sandbox, database: str) -> None:
    """A relay that has nothing else to keep mail in says why it does not start; with mail in a file that no setting names any more, it says so."""
    relay = relay_of(tmp_path, qboxmail.url, database, FALLBACK)
    clients = Clients()
    try:
        server.halt("fast")
        try:
            relay.start()
            clients.send(relay.smtp_port, ["left-1"])
            relay.stop()
            relay.config.write_text(relay.config.read_text().replace('fallback = "local"', ""))
            relay.begin()
            assert relay.wait() == 1
        finally:
            server.start()
        relay.start()
        (event,) = relay.wait_for("fallback.left")
        assert event["messages"] == 1
    finally:
        relay.close()


@pytest.mark.parametrize("settings", [HASTY, FALLBACK], ids=["refuses", "fallback"])
def test_stopped_while_the_server_hangs(
    settings: str, server: Cluster, trouble: Trouble, tmp_path: Path, qboxmail: Sandbox, database: str
) -> None:
    """The relay ends while every process of the server still stands still, with mail, claims and records under way; later nothing is lost."""
    clients = Clients()
    # No other limit ends a wait for the server in the time of this test.
    patience = 'statement_timeout = "600s"'
    extra = f'[spool]\nurl = "{database}"\n{settings}\n{patience}\n[delivery]\nretry_schedule = ["1s"]\n'
    relay = Relay(tmp_path / "relay", qboxmail.url, extra=extra, relay='stop_timeout = "6s"').start()
    try:
        threads = clients.load(relay.smtp_port, "hang", clients=4, mails_each=1000)
        wait_until(lambda: len(clients.acked) > 50, what="mail is taken")
        trouble.begin("frozen")
        try:
            if settings is FALLBACK:
                relay.wait_for("fallback.active")
            else:
                wait_until(lambda: relay.answers(503), what="the relay has noticed")
            relay.signal(signal.SIGTERM)
            assert relay.wait() == 0
        finally:
            trouble.end("frozen")
        relay.start()
        for thread in threads:
            thread.join(300)
        if settings is FALLBACK:
            relay.wait_for_metric(ACTIVE, 0)
        spool = Spool(database)
        spool.drained()
        judge(spool, qboxmail, clients, "hang")
    finally:
        relay.close()


@pytest.fixture
def small(server: Cluster) -> Iterator[Path]:
    """A disk for a tablespace, which can be filled."""
    with mounted(server.folder / "small", "24m") as place:
        shutil.chown(place, "postgres", "postgres")
        yield place


@pytest.mark.parametrize(("settings", "code"), [(HASTY, 452), (FALLBACK, 250)], ids=["refuses", "fallback"])
def test_the_servers_disk_is_full(
    settings: str, code: int, server: Cluster, small: Path, tmp_path: Path, qboxmail: Sandbox
) -> None:
    """Mail is deferred, or kept on this machine; once there is room it goes on by itself."""
    clients, name = Clients(), f"small_{code}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE {name} LOCATION '{small}'".encode())
        connection.execute(f"CREATE DATABASE {name} TABLESPACE {name}".encode())
    database = server.url(name)
    relay = relay_of(tmp_path, qboxmail.url, database, settings).start()
    try:
        with smtplib.SMTP(HOST, relay.smtp_port, timeout=120) as client:
            taken(client, clients, "full-before")
            food = eat(small)
            # More than the pages that there are have room for.
            answers = [say(client, clients, f"full-much{n}", bytes(100_000)) for n in range(20)]
            assert answers[-1][0] == code, answers
            if code == 250:
                relay.wait_for("fallback.active")
                assert relay.ready()
            food.unlink()
            taken(client, clients, "full-after")
        if code == 250:
            relay.wait_for_metric(ACTIVE, 0)
            assert relay.metric(LEFT) == 0
            assert not clients.nacked
        spool = Spool(database)
        spool.drained()
        judge(spool, qboxmail, clients, "full")
        assert relay.stop() == 0
    finally:
        relay.close()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            connection.execute(f"DROP TABLESPACE {name}".encode())


def test_a_fallback_with_workers(server: Cluster, tmp_path: Path, qboxmail: Sandbox, database: str) -> None:
    """Several processes take mail while the server crashes under them, stays away, and the relay itself is killed: all of it arrives, once."""
    clients, spool = Clients(), Spool(database)
    extra = f'[spool]\nurl = "{database}"\n{FALLBACK}\n[delivery]\nretry_schedule = ["1s"]\n'
    relay = Relay(tmp_path / "relay", qboxmail.url, extra=extra, relay="workers = 2").start()
    try:
        threads = clients.load(relay.smtp_port, "crew", clients=6, mails_each=50)
        wait_until(lambda: len(clients.acked) > 50, what="mail is taken")
        server.halt("immediate")
        try:
            for thread in threads:
                thread.join(300)
            assert len(clients.acked) == 300, (clients.nacked, clients.unknown)
            assert relay.metric(ACTIVE) == 1
            kept = relay.metric(LEFT)
            assert kept > 0
            assert relay.ready()
            relay.kill()
            relay.start()
            assert relay.metric(LEFT) == kept
            clients.send(relay.smtp_port, [f"crew-again-{n}" for n in range(10)])
        finally:
            server.start()
        relay.wait_for_metric(ACTIVE, 0)
        spool.drained()

        verdict = judge(spool, qboxmail, clients, "crew")

        assert verdict.acked == verdict.stored == 310, verdict
        assert relay.stop() == 0
    finally:
        relay.close()
