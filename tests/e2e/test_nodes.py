"""`qboxrelay nodes`, and what several relays on one spool tell of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_queue import command, send
from tests.support import processes
from tests.support.postgres import closed_port, require_postgres, shared_cluster
from tests.support.processes import HOST, Relay, Sandbox, wait_until

_DEPTH = 'qboxrelay_spool_messages{account="default",state="sent"}'


def asked(relay: Relay, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qboxrelay", "nodes", "--config", str(relay.config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)


def listed(relay: Relay) -> dict[str, dict[str, Any]]:
    """By name."""
    done = asked(relay, "--json")
    assert done.returncode in {0, 2}, done.stderr
    return {node["name"]: node for node in json.loads(done.stdout)}


def series(relay: Relay) -> dict[str, float]:
    text = httpx.get(f"http://{HOST}:{relay.http_port}/metrics", trust_env=False, timeout=30).text
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_two_relays_on_one_spool(tmp_path: Path, qboxmail: Sandbox) -> None:
    """Both are listed with what they did; one leads and exports the depth; a third of the same name is refused; a goodbye is seen."""
    require_postgres()
    extra = f'[spool]\nurl = "{shared_cluster().new_database()}"\n'
    with (
        processes.relay(tmp_path / "1", qboxmail.url, name="mx1.example", extra=extra) as first,
        processes.relay(tmp_path / "2", qboxmail.url, name="mx2.example", extra=extra) as second,
    ):
        send(first, "hello")
        wait_until(
            lambda: sum(node["sent"] for node in listed(second).values()) == 1, what="the list says what was sent"
        )
        nodes = listed(second)
        assert {name: node["state"] for name, node in nodes.items()} == {
            "mx1.example": "running",
            "mx2.example": "running",
        }
        assert nodes["mx1.example"]["accepted"] == 1

        def leaders() -> list[float]:
            return [series(relay)["qboxrelay_spool_leader"] for relay in (first, second)]

        wait_until(lambda: sum(leaders()) == 1, what="one leads")
        assert [_DEPTH in series(relay) for relay in (first, second)] == [bool(one) for one in leaders()]
        wait_until(
            lambda: sum(node["leader"] for node in listed(first).values()) == 1, what="the list says which one leads"
        )
        table = asked(first)
        assert table.returncode == 0
        assert "mx1.example" in table.stdout
        assert "leader" in table.stdout

        twin = Relay(tmp_path / "3", qboxmail.url, name="mx1.example", extra=extra)
        with pytest.raises(AssertionError, match=r"another relay named mx1\.example runs"):
            twin.start()
        twin.close()

        leader, other = (first, second) if leaders()[0] else (second, first)
        leader.stop()
        wait_until(lambda: series(other)["qboxrelay_spool_leader"] == 1, what="the other leads")
        assert _DEPTH in series(other)
        assert sorted(node["state"] for node in listed(other).values()) == ["running", "stopped"]


def test_spool_of_one_relay(tmp_path: Path) -> None:
    """SQLite has no nodes; a program still gets a list."""
    relay = Relay(tmp_path, "http://127.0.0.1:1")
    said, as_json = asked(relay), asked(relay, "--json")
    assert (said.returncode, as_json.returncode) == (0, 0)
    assert "One relay has this spool for itself" in said.stdout
    assert json.loads(as_json.stdout) == []
    relay.close()


def test_server_that_does_not_answer(tmp_path: Path) -> None:
    """One line that names it, and exit status 1."""
    pytest.importorskip("psycopg")
    extra = f'[spool]\nurl = "postgresql://relay@127.0.0.1:{closed_port()}/nowhere"\n'
    relay = Relay(tmp_path, "http://127.0.0.1:1", extra=extra)
    done = asked(relay)
    assert done.returncode == 1
    assert "cannot reach the database 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
    relay.close()


def test_one_of_two_is_dead(tmp_path: Path, qboxmail: Sandbox) -> None:
    """Commands and pages, asked at the other one, go on and say which it is; what it took is there."""
    require_postgres()
    extra = f'[spool]\nurl = "{shared_cluster().new_database()}"\n'
    with (
        processes.relay(tmp_path / "1", qboxmail.url, name="mx1.example", extra=extra) as dead,
        processes.relay(tmp_path / "2", qboxmail.url, name="mx2.example", extra=extra) as alive,
    ):
        taken = send(dead, "taken by the dead one")
        dead.kill()

        wait_until(lambda: listed(alive)["mx1.example"]["state"] == "silent", what="it is known to be dead")

        done = asked(alive)
        assert done.returncode == 2, "somebody should look"
        assert "silent" in done.stdout
        assert listed(alive)["mx2.example"]["state"] == "running"
        wait_until(lambda: listed(alive)["mx2.example"]["leader"], what="the other one leads")
        with httpx.Client(
            base_url=f"http://{HOST}:{alive.http_port}", trust_env=False, timeout=60, follow_redirects=True
        ) as http:
            pages = {
                path: http.get(path)
                for path in ("/", "/nodes", "/messages?state=all", f"/messages/{taken}", "/accounts")
            }
            assert {path: page.status_code for path, page in pages.items()} == dict.fromkeys(pages, 200)
            assert all(word in pages["/nodes"].text for word in ("mx1.example", "mx2.example", ">silent<", ">running<"))
            assert "taken by the dead one" in pages[f"/messages/{taken}"].text
        command(alive, "trace", taken)
