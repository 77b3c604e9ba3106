"""The operator's commands on a PostgreSQL spool: beside two relays, each of which takes up what is done, and with no relay at all."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_queue import command, queue, send, states
from tests.support.postgres import require_postgres, shared_cluster
from tests.support.processes import HOST, Relay, Sandbox, wait_until

Start = Callable[[str], Relay]


@pytest.fixture
def start_node(tmp_path: Path, qboxmail: Sandbox) -> Iterator[Start]:
    """Start a relay of a name on one spool that all of them share."""
    require_postgres()
    url = shared_cluster().new_database()
    with ExitStack() as stack:

        def start(name: str) -> Relay:
            relay = Relay(tmp_path / name, qboxmail.url, extra=f'[spool]\nurl = "{url}"\n')
            relay.config.write_text(relay.config.read_text().replace('"relay.example"', f'"{name}.example"'))
            stack.callback(relay.close)
            return relay.start()

        yield start


def tells_of(relay: Relay, *acts: str) -> bool:
    return set(acts) <= {one["what"] for one in relay.events("operator.acted")}


def test_acts_reach_every_node(start_node: Start, qboxmail: Sandbox) -> None:
    """A pause holds both back, a deletion holds for both, a resume sends what either took; each tells of it in its log; any of them is asked."""
    first, second = start_node("mx1"), start_node("mx2")
    command(first, "queue", "pause", "--why", "maintenance")
    kept, deleted = send(first, "kept"), send(second, "deleted")
    assert states(second) == {f"{kept}-1": "queued", f"{deleted}-1": "queued"}
    assert queue(first, "delete", deleted, "--yes")[0]["done"]
    assert "pause" in command(second, "queue", "stats").stdout
    command(second, "queue", "resume")
    wait_until(qboxmail.messages, what="the mail that was kept arrives")
    for relay in (first, second):
        wait_until(partial(tells_of, relay, "pause", "delete", "resume"), what="the relay tells of each")
    assert [one["message"]["subject"] for one in qboxmail.messages()] == ["kept"]
    wait_until(lambda: traced(second, kept)["state"] == "sent", what="the outcome is recorded")
    page = httpx.get(f"http://{HOST}:{first.http_port}/messages/{kept}-1", trust_env=False, timeout=30)
    assert kept in page.text


def test_commands_work_while_no_relay_runs(start_node: Start, qboxmail: Sandbox) -> None:
    """And the next relay, whichever it is, tells of what was done."""
    relay = start_node("mx1")
    command(relay, "queue", "pause")
    id_ = send(relay, "waits")
    relay.stop()
    command(relay, "queue", "hold", id_, "--yes")
    assert [one["state"] for one in queue(relay, "list")] == ["held"]
    command(relay, "queue", "release", id_)
    command(relay, "queue", "resume")
    relay.start()
    wait_until(partial(tells_of, relay, "hold", "release", "resume"), what="the relay tells of what it missed")
    wait_until(qboxmail.messages, what="the mail arrives")


def test_the_doctor_looks_at_it(start_node: Start) -> None:
    """They look at the server, too."""
    relay = start_node("mx1")
    done = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "doctor", "--json", "--config", str(relay.config)],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert json.loads(done.stdout), done.stderr
    assert "Traceback" not in done.stderr


def traced(relay: Relay, id_: str) -> Any:
    return json.loads(command(relay, "trace", id_, "--json").stdout)["submissions"][0]
