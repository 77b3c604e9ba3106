"""The primary dies, its standby is promoted: relays whose URL names both go on by themselves, and what was answered 250 arrives."""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_postgres_faults import ACTIVE, FALLBACK, HASTY, LEFT, PATIENT, relay_of, say, taken
from tests.support.cluster import Spool, judge
from tests.support.ledger import Clients
from tests.support.postgres import require_postgres
from tests.support.processes import HOST, Sandbox, wait_until
from tests.support.standby import Pair, break_connections, pair

pytestmark = pytest.mark.timeout(600)
_CLIENTS, _MAILS = 6, 60


@pytest.fixture
def servers() -> Iterator[Pair]:
    require_postgres()
    with pair() as made:
        yield made


@pytest.mark.parametrize(
    ("settings", "answer"), [(HASTY, 451), (FALLBACK, 250), (PATIENT, None)], ids=["refuses", "fallback", "waits"]
)
def test_under_load(settings: str, answer: int | None, servers: Pair, tmp_path: Path, qboxmail: Sandbox) -> None:
    """The primary is killed among commits. While there is none mail is answered as the settings say; nothing is lost, and nothing sent twice
    without a doubt.
    """
    database, clients = servers.first.new_database(), Clients()
    url = servers.url(database)
    relay = relay_of(tmp_path, qboxmail.url, url, settings).start()
    try:
        threads = clients.load(relay.smtp_port, "load", clients=_CLIENTS, mails_each=_MAILS)
        wait_until(lambda: len(clients.acked) > _MAILS, what="mail is taken")
        servers.kill_first()
        with smtplib.SMTP(HOST, relay.smtp_port, timeout=120) as client:
            if answer is not None:
                # Heard while no server takes writes.
                assert say(client, clients, "load-nowhere")[0] == answer
            servers.promote_second()
            taken(client, clients, "load-after")
        for thread in threads:
            thread.join(300)
        if answer == 250:
            relay.wait_for_metric(ACTIVE, 0)
            relay.wait_for_metric(LEFT, 0)
        spool = Spool(url)
        spool.drained()

        verdict = judge(spool, qboxmail, clients, "load")

        assert verdict.unheard == 0, verdict
        if answer != 451:
            assert verdict.refused == 0, (verdict, clients.nacked)
            assert verdict.acked >= _CLIENTS * _MAILS
        assert relay.stop() == 0
    finally:
        relay.close()


def test_the_old_primary_comes_back(servers: Pair, tmp_path: Path, qboxmail: Sandbox) -> None:
    """As a standby, first in the URL: it is passed over by every new connection, also of a relay that starts."""
    database, clients = servers.first.new_database(), Clients()
    url = servers.url(database)
    relay = relay_of(tmp_path, qboxmail.url, url, HASTY).start()
    try:
        clients.send(relay.smtp_port, ["back-before"])
        servers.kill_first()
        servers.promote_second()
        with smtplib.SMTP(HOST, relay.smtp_port, timeout=120) as client:
            taken(client, clients, "back-promoted")
            servers.first_follows()
            break_connections(servers.second)
            taken(client, clients, "back-broken")
        assert relay.stop() == 0
        relay.start()
        clients.send(relay.smtp_port, ["back-again"])
        spool = Spool(url)
        spool.drained()

        judge(spool, qboxmail, clients, "back")

        assert {"back-before", "back-again"} <= clients.acked
    finally:
        relay.close()
