"""S: the spool's file is broken. The relay says so, keeps the file, goes on with what can be read, and still starts."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ledger import Clients, drained, queue
from tests.support.processes import Relay, Sandbox, wait_until

EVERY_CALL = bool(os.environ.get("TESTS_EVERY_CALL"))
"""Cut the rescue off at every call rather than at some."""
PAGE = 16384
MAILS = 60
DOWN = {"action": "status", "status": 503}
SLOW = '[delivery]\nretry_schedule = ["1s"]\nbreaker_pause = "1s"'


@pytest.fixture
def filled(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> tuple[Relay, Clients]:
    """A stopped relay with mail in its spool."""
    relay = start_relay(extra=SLOW)
    qboxmail.faults(DOWN)
    clients = Clients()
    clients.send(relay.smtp_port, [f"damaged-{number}" for number in range(MAILS)])
    assert len(clients.acked) == MAILS
    relay.stop()
    return relay, clients


def spoil(path: Path, *pages: int) -> None:
    """Overwrite whole pages with noise."""
    noise = random.Random(1).randbytes(PAGE)
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(noise)


def rescued(relay: Relay, damaged: bytes) -> dict[str, object]:
    """What the relay says, after the saved file was compared with the damaged one."""
    (event,) = relay.events("spool.rescued")
    assert Path(event["saved_as"]).read_bytes() == damaged
    return event


def test_one_page_costs_its_own_mail_only(filled: tuple[Relay, Clients], qboxmail: Sandbox) -> None:
    relay, clients = filled
    spool = relay.directory / "data/spool.db"
    pages = spool.stat().st_size // PAGE
    spoil(spool, pages - 3)
    damaged = spool.read_bytes()

    relay.start()
    qboxmail.faults()
    drained(relay)

    event = rescued(relay, damaged)
    delivered = {entry["message"]["subject"] for entry in qboxmail.messages(content=0)}
    held = {entry["envelope_sender"].partition("@")[0] for entry in queue(relay, "held")}
    assert len(delivered) > MAILS // 2
    assert delivered | held <= clients.acked
    assert len(delivered | held) == event["submissions"]
    after = Clients()
    after.send(relay.smtp_port, ["afterwards"])
    assert after.acked == {"afterwards"}


@pytest.mark.parametrize("page", [0, 1, 2, 4])
def test_any_page(page: int, filled: tuple[Relay, Clients], qboxmail: Sandbox) -> None:
    """Whichever page it is: the relay starts, takes and delivers mail, and sends nothing that it was not given."""
    relay, clients = filled
    spool = relay.directory / "data/spool.db"
    spoil(spool, page)
    damaged = spool.read_bytes()

    relay.start()
    qboxmail.faults()
    clients.send(relay.smtp_port, ["afterwards"])
    drained(relay)

    if relay.events("spool.rescued"):
        rescued(relay, damaged)
    delivered = [entry["message"]["subject"] for entry in qboxmail.messages(content=0)]
    assert "afterwards" in delivered
    assert set(delivered) <= clients.acked
    assert len(delivered) == len(set(delivered))


@pytest.mark.parametrize("content", [b"", b"no database at all\n" * 2000, b"SQLite format 3\0" + bytes(PAGE)])
def test_no_database(content: bytes, filled: tuple[Relay, Clients], qboxmail: Sandbox) -> None:
    """A file that was emptied, or is something else."""
    relay, clients = filled
    (relay.directory / "data/spool.db").write_bytes(content)

    relay.start()
    qboxmail.faults()
    clients.send(relay.smtp_port, ["afterwards"])
    drained(relay)

    assert [entry["message"]["subject"] for entry in qboxmail.messages(content=0)] == ["afterwards"]
    assert bool(relay.events("spool.rescued")) == bool(content)


def test_damage_under_way(filled: tuple[Relay, Clients], qboxmail: Sandbox) -> None:
    """Met while it runs: no mail is taken that could be lost, the relay ends with a status that has it started again, and that rescues."""
    relay, clients = filled
    spool = relay.directory / "data/spool.db"
    relay.start()
    spoil(spool, *range(2, spool.stat().st_size // PAGE))
    clients.send(relay.smtp_port, [f"meanwhile-{number}" for number in range(20)])
    qboxmail.faults()
    wait_until(relay.died, what="the relay met the damage and ended")

    assert relay.wait() == 1
    assert relay.events("spool.damaged")
    relay.start()
    clients.send(relay.smtp_port, ["afterwards"])
    drained(relay)
    assert relay.events("spool.rescued")
    delivered = {entry["message"]["subject"] for entry in qboxmail.messages(content=0)}
    assert "afterwards" in delivered
    assert not delivered & clients.nacked.keys()


def test_cut_off_while_rescuing(filled: tuple[Relay, Clients], qboxmail: Sandbox) -> None:
    """Killed at any moment of the rescue, the next start goes on; the damaged file is kept as it was."""
    relay, clients = filled
    spool = relay.directory / "data/spool.db"
    spoil(spool, spool.stat().st_size // PAGE - 3)
    damaged = spool.read_bytes()
    for number in range(1, 30, 1 if EVERY_CALL else 5):
        calls = "rename,unlink,pwrite64"
        injection = f"inject={calls}:signal=KILL:when={number}"
        relay.begin(prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", injection])
        wait_until(lambda: relay.died() or relay.answers(200), what="the relay died or started")
        relay.kill()
    relay.start()
    qboxmail.faults()
    drained(relay)

    saved = [path for path in spool.parent.glob("spool.db.damaged-*") if not path.name.endswith("-wal")]
    assert damaged in [path.read_bytes() for path in saved]
    delivered = [entry["message"]["subject"] for entry in qboxmail.messages(content=0)]
    assert len(delivered) == len(set(delivered))
    assert len(delivered) > MAILS // 2
    assert set(delivered) <= clients.acked
