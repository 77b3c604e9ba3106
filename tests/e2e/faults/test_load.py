"""L, S5: what is done to a relay on purpose, while applications send: stop, reload, upgrade, downgrade, backup."""

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.ledger import Clients, drained, judge
from tests.support.processes import Relay, Sandbox, wait_until
from tests.support.schemas import NEWEST, back_to_schema, set_schema

StartRelay = Callable[..., Relay]
QUICK = '[delivery]\nretry_schedule = ["1s"]\nlease = "20s"\nrequest_deadline = "5s"\nconnect_timeout = "2s"\nbreaker_pause = "1s"'
DOWN = {"action": "status", "status": 503}


@contextmanager
def applications(relay: Relay, clients: Clients, prefix: str) -> Iterator[None]:
    """Four of them send for as long as the block lasts, whether the relay is there or not."""
    enough = threading.Event()

    def send(name: int) -> None:
        number = 0
        while not enough.is_set():
            clients.send(relay.smtp_port, [f"{prefix}-{name}-{number + n}" for n in range(3)])
            number += 3

    threads = [threading.Thread(target=send, args=(name,), daemon=True) for name in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join(200)


def more_is_taken(clients: Clients, number: int = 20) -> None:
    before = len(clients.acked)
    wait_until(lambda: len(clients.acked) > before + number, what="mail is taken")


@pytest.mark.parametrize("signals", [1, 2])
def test_stopped_under_load(signals: int, start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """L1: SIGTERM, and again SIGTERM, while mail comes and requests are under way: exit status 0, nothing lost, nothing sent twice."""
    relay = start_relay(extra=QUICK)
    qboxmail.faults({"action": "delay", "seconds": 0.3, "share": 0.5})
    clients = Clients()
    with applications(relay, clients, "stop"):
        for _ in range(3):
            more_is_taken(clients)
            for _ in range(signals):
                relay.signal(signal.SIGTERM)
            assert relay.wait() == 0
            relay.start()
        more_is_taken(clients)
    drained(relay)

    # Whoever asks twice does not wait for answers that are still to come.
    lost = sum(event["count"] for event in relay.events("attempts.lost"))
    assert signals > 1 or not lost
    judge(relay, qboxmail, clients, may_repeat=lost)


def test_reloaded_under_load(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """L2: SIGHUP after SIGHUP, some with a configuration that is wrong, while an API that fails now and then is sent to."""
    relay = start_relay(extra=QUICK)
    qboxmail.faults({**DOWN, "share": 0.3})
    right = relay.config.read_text()
    clients = Clients()
    with applications(relay, clients, "reload"):
        for number in range(8):
            wrong = number % 3 == 2
            relay.config.write_text(
                f"{right}\n[nonsense]\n" if wrong else right.replace('["1s"]', f'["{number + 1}s"]')
            )
            relay.signal(signal.SIGHUP)
            more_is_taken(clients, 10)
        relay.config.write_text(right)
        relay.signal(signal.SIGHUP)
        more_is_taken(clients)
    qboxmail.faults()
    drained(relay)

    judge(relay, qboxmail, clients)
    assert not clients.unknown
    assert not clients.nacked


@pytest.mark.parametrize("schema", [1, NEWEST - 1])
def test_upgraded_under_load(schema: int, start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """L4: a spool of an older version with mail that waits, applications that do not wait: all of it is delivered by the new version."""
    relay = start_relay(extra=QUICK)
    qboxmail.faults(DOWN)
    clients = Clients()
    with applications(relay, clients, "upgrade"):
        more_is_taken(clients, 100)
        relay.kill()
        back_to_schema(relay.directory / "data/spool.db", schema)
        relay.start()
        more_is_taken(clients)
        qboxmail.faults()
    drained(relay)

    judge(relay, qboxmail, clients)
    assert not relay.events("spool.rescued")


def test_downgrade_is_refused(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """L4, S3: a spool of a newer version is left as it is, byte by byte, and the line says what to do; that version finds its mail."""
    relay = start_relay(extra=QUICK)
    qboxmail.faults(DOWN)
    clients = Clients()
    clients.send(relay.smtp_port, [f"newer-{number}" for number in range(10)])
    assert relay.stop() == 0
    spool = relay.directory / "data/spool.db"
    set_schema(spool, NEWEST + 1)
    before = spool.read_bytes()

    relay.begin()
    assert relay.wait() == 1
    assert f"written by a newer qboxrelay (schema {NEWEST + 1}" in relay.log.read_text()
    assert spool.read_bytes() == before

    set_schema(spool, NEWEST)
    qboxmail.faults()
    relay.start()
    drained(relay)
    judge(relay, qboxmail, clients)
    assert len(clients.acked) == 10


def test_backup_of_a_running_relay(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """S5: `VACUUM INTO` under load takes a whole spool and disturbs nobody. Restored, it delivers what waited then, and again what was sent
    since, under the same id: what doubles can be recognised.
    """
    relay = start_relay(extra=QUICK)
    spool = relay.directory / "data/spool.db"
    backup = relay.directory / "backup.db"
    qboxmail.faults(DOWN)
    waiting, clients = Clients(), Clients()
    waiting.send(relay.smtp_port, [f"waiting-{number}" for number in range(30)])
    with applications(relay, clients, "backup"):
        more_is_taken(clients)
        with closing(sqlite3.connect(f"{spool.as_uri()}?mode=ro", uri=True)) as reader:
            reader.execute("VACUUM INTO ?", (str(backup),))
        more_is_taken(clients)
    qboxmail.faults()
    drained(relay)
    assert not clients.nacked
    first = _ids(qboxmail)
    assert relay.stop() == 0

    for file in spool.parent.glob("spool.db*"):
        file.unlink()
    backup.replace(spool)
    relay.start()
    drained(relay)

    again = _ids(qboxmail)[len(first) :]
    assert {token for token, _ in again} >= waiting.acked
    assert set(again) <= set(first)
    assert len(again) == len(set(again))


def _ids(qboxmail: Sandbox) -> list[tuple[str, str]]:
    """Subjects with the relay's ids, in the order of their acceptance."""
    return [
        (entry["message"]["subject"], entry["message"]["headers"]["X-Qboxrelay-Id"]) for entry in qboxmail.messages()
    ]


def test_lock_outlives_no_process(start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path) -> None:
    """D9: a second relay is refused while the first one lives, and starts at once after its kill -9."""
    relay = start_relay(extra=QUICK)
    clients = Clients()
    clients.send(relay.smtp_port, ["first"])
    second = Relay(tmp_path / "second", qboxmail.url, extra=QUICK)
    text = second.config.read_text()
    second.config.write_text(text.replace(str(second.directory / "data"), str(relay.directory / "data")))
    second.begin()
    assert second.wait() == 1
    assert f"in use by process {relay.pid()}" in second.log.read_text()

    relay.kill()
    try:
        second.start()
        clients.send(second.smtp_port, ["second"])
        drained(second)
        judge(second, qboxmail, clients, may_repeat=1)
        assert clients.acked == {"first", "second"}
    finally:
        second.close()
