"""Three relays on one PostgreSQL behind HAProxy, as the README sets them up: nodes die, freeze and leave, the database restarts, mail arrives.

`TESTS_CLUSTER_SECONDS=600` goes on for ten minutes, `TESTS_CLUSTER_SEED` chooses another way; the seed is in the test's name.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import cluster
from tests.support.cluster import Fate, Node, Spool, Verdict, applications, judge, judge_rate, listed
from tests.support.haproxy import HAProxy, haproxy, needs_haproxy, readme_file
from tests.support.ledger import Clients
from tests.support.postgres import Cluster, require_postgres
from tests.support.processes import Sandbox, wait_until

SECONDS = float(os.environ.get("TESTS_CLUSTER_SECONDS", "20"))
SEED = int(os.environ.get("TESTS_CLUSTER_SEED", "20261121"))
ROUND_SECONDS = 40.0
"""After each the promises are judged, and the sandbox, which remembers the newest ten thousand, forgets."""

pytestmark = pytest.mark.slow


@pytest.fixture
def database() -> Iterator[Cluster]:
    """A server of the test's own, because it is stopped."""
    require_postgres()
    server = Cluster()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def relays(tmp_path: Path, qboxmail: Sandbox, database: Cluster) -> Iterator[list[Node]]:
    with cluster.nodes(tmp_path, qboxmail.url, database.url()) as made:
        yield made


@pytest.fixture
def proxy(tmp_path: Path, relays: list[Node]) -> Iterator[HAProxy]:
    with haproxy(tmp_path, relays) as found:
        found.wait_for(len(relays))
        yield found


@needs_haproxy
@pytest.mark.timeout(4 * SECONDS + 900)
@pytest.mark.parametrize("seed", [SEED])
def test_chaos(seed: int, relays: list[Node], proxy: HAProxy, database: Cluster, qboxmail: Sandbox) -> None:
    """What was answered 250 arrives as it was sent, and again only where nobody could know; the token's rate holds over all nodes."""
    spool, whole = Spool(database.url()), Verdict()
    fate = Fate(relays, database.halt, database.start, seed=seed)
    began, until, rounds, most = time.monotonic(), time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < until:
        rounds += 1
        clients, prefix = Clients(), f"chaos{rounds}"
        with applications(proxy.port, clients, prefix=prefix, seed=seed + rounds):
            ends = min(until, time.monotonic() + ROUND_SECONDS)
            while time.monotonic() < ends:
                fate.strike()
            fate.over()
        spool.drained()
        whole.add(judge(spool, qboxmail, clients, prefix))
        most = max(most, judge_rate(qboxmail.requests()))
        qboxmail.forget()
    report = (
        f"{time.monotonic() - began:.0f} s, {rounds} rounds, {most} requests in a second at most, {whole}, {fate.done}"
    )
    print(report)
    assert whole.acked > SECONDS, f"hardly any mail was taken: {report}"
    assert spool.states() == {"sent": whole.stored}, report
    agree(relays, spool)


def agree(relays: list[Node], spool: Spool) -> None:
    """All nodes run, one leads, and the figures of all of them add up to the spool's."""
    wait_until(lambda: _lives(relays) == ["running"] * len(relays), what="all nodes are known to run")
    wait_until(lambda: sum(node["leader"] for node in listed(relays[0])) == 1, what="one node leads")
    kept = spool.states()["sent"]
    wait_until(lambda: _sum(relays, "sent") == kept, what="the nodes' figures add up to the spool's")
    assert _sum(relays, "queued") == 0


def _lives(relays: list[Node]) -> list[str]:
    return [node["state"] for node in listed(relays[-1])]


def _sum(relays: list[Node], state: str) -> float:
    return sum(node.metric(f'qboxrelay_spool_messages{{account="default",state="{state}"}}') for node in relays)


@needs_haproxy
@pytest.mark.timeout(900)
def test_upgrade_one_node_at_a_time(tmp_path: Path, database: Cluster, qboxmail: Sandbox) -> None:
    """All nodes take mail and count it; then each in turn is stopped and started again under load: nothing is lost, nothing is sent twice."""
    with (
        cluster.nodes(tmp_path, qboxmail.url, database.url(), delivery=cluster.PATIENT) as relays,
        haproxy(tmp_path, relays) as proxy,
    ):
        calm(relays, proxy, Spool(database.url()), qboxmail)
        upgraded(relays, proxy, Spool(database.url()), qboxmail)


def calm(relays: list[Node], proxy: HAProxy, spool: Spool, qboxmail: Sandbox) -> None:
    """Relays see the clients' addresses through HAProxy, and what each of them accepted adds up."""
    clients = Clients()
    with applications(proxy.port, clients, prefix="calm", seed=SEED):
        wait_until(lambda: heard(clients) == len(cluster.MANNERS), what="every application was heard")
        wait_until(lambda: all(accepted(relays)), what="every node took mail")
    spool.drained()
    judge(spool, qboxmail, clients, "calm")

    rows = spool.rows("calm")
    assert {row.client for row in rows.values()} == {manner.source for manner in cluster.MANNERS}
    wait_until(lambda: sum(accepted(relays)) == len(rows), what="what the nodes accepted adds up")
    assert {node["name"] for node in listed(relays[0])} == {node.name for node in relays}
    qboxmail.forget()


def upgraded(relays: list[Node], proxy: HAProxy, spool: Spool, qboxmail: Sandbox) -> None:
    clients = Clients()
    with applications(proxy.port, clients, prefix="upgrade", seed=SEED):
        for node in relays:
            assert node.stop() == 0
            more_mail(clients)
            wait_until(lambda: sorted(_lives(relays))[:2] == ["running", "running"], what="the others run")
            wait_until(lambda: sorted(_lives(relays))[2] != "running", what="one is known to be gone")
            node.begin()
            node.wait_ready()
            proxy.wait_for(len(relays))
    spool.drained()

    verdict = judge(spool, qboxmail, clients, "upgrade")

    assert verdict.repeated == verdict.doubts == 0, verdict
    assert not verdict.stored_though_refused
    judge_rate(qboxmail.requests())
    agree(relays, spool)


def heard(clients: Clients) -> int:
    """How many applications were answered 250."""
    return len({token.rpartition("-")[0] for token in list(clients.acked)})


def accepted(relays: list[Node]) -> list[float]:
    return [node.metric("qboxrelay_mails_accepted_total") for node in relays]


def more_mail(clients: Clients) -> None:
    before = len(clients.acked)
    wait_until(lambda: len(clients.acked) > before + 20, what="mail is taken")


def test_the_manuals_node(tmp_path: Path) -> None:
    """The README's configuration of a node is one that `check` has nothing to say against."""
    config = tmp_path / "qboxrelay.toml"
    config.write_text(readme_file("qboxrelay.toml"))
    for name in ("spool-password", "send-token", "status-token"):
        secret = tmp_path / name
        secret.write_text("0123456789abcdef0123456789abcdef\n")
        secret.chmod(0o600)
    command = [sys.executable, "-m", "qboxrelay", "check", "--config", str(config)]
    environment = {**os.environ, "QBOXRELAY_RELAY_DATA_DIR": str(tmp_path / "data")}

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)

    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stdout + done.stderr
