"""D: the disk is full or fails. The door answers 4xx, what was taken goes on, and it ends when the fault ends."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.disk import eat, mounted
from tests.support.ledger import Clients, drained, judge
from tests.support.processes import Relay, Sandbox, relay, wait_until

StartRelay = Callable[..., Relay]
QUICK = '[delivery]\nretry_schedule = ["1s"]\nbreaker_pause = "1s"'
RESERVE = "[spool]\nmin_free_bytes = 8000000"
NO_RESERVE = "[spool]\nmin_free_bytes = 0"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "32m") as place:
        yield place


def test_space_that_is_kept_for_delivery(small_disk: Path, qboxmail: Sandbox) -> None:
    """D1, D4: below the reserve new mail is told 452 and health says so; what waits is delivered; space that comes back is used."""
    with relay(small_disk / "relay", qboxmail.url, extra=f"{QUICK}\n{RESERVE}") as running:
        qboxmail.faults({"action": "status", "status": 503})
        clients = Clients()
        clients.send(running.smtp_port, [f"before-{number}" for number in range(10)])
        food = eat(small_disk, leave=4_000_000)
        wait_until(lambda: running.answers(503), what="/readyz says that nothing can be accepted")
        clients.send(running.smtp_port, [f"full-{number}" for number in range(10)])
        qboxmail.faults()
        drained(running)
        assert len(qboxmail.messages(content=0)) == len(clients.acked) == 10
        assert set(clients.nacked.values()) == {452}
        food.unlink()
        wait_until(running.ready, what="it accepts again")
        clients.send(running.smtp_port, [f"after-{number}" for number in range(10)])
        drained(running)

        judge(running, qboxmail, clients)
        assert len(clients.acked) == 20


def test_no_space_at_all(small_disk: Path, qboxmail: Sandbox) -> None:
    """D3, D4: without a single free block nothing is taken, sent or lost; once there is one, all is delivered, once."""
    with relay(small_disk / "relay", qboxmail.url, extra=f"{QUICK}\n{NO_RESERVE}") as running:
        qboxmail.faults({"action": "status", "status": 503})
        clients = Clients()
        clients.send(running.smtp_port, [f"before-{number}" for number in range(10)])
        food = eat(small_disk)
        clients.send(running.smtp_port, [f"full-{number}" for number in range(10)])
        wait_until(lambda: running.answers(503), what="/readyz says that nothing can be accepted")
        qboxmail.faults()
        food.unlink()
        wait_until(running.ready, what="it accepts again")
        drained(running)

        judge(running, qboxmail, clients)
        assert clients.nacked, "the disk was not full"
        assert set(clients.nacked.values()) <= {451, 452}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian: apt install strace)")
@pytest.mark.parametrize(
    ("call", "error"),
    [(call, error) for call in ("pwrite64", "fdatasync") for error in ("ENOSPC", "EDQUOT", "EROFS", "EIO")],
)
def test_calls_that_fail(call: str, error: str, start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """D2, D5: some writes or syncs in a row fail: 4xx for their mail, which is then never sent, and all is well after."""
    running = start_relay(extra=QUICK)
    running.stop()
    injection = f"inject={call}:error={error}:when={'60..90' if call == 'pwrite64' else '6..25'}"
    running.start(prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", injection])
    clients = Clients()
    # Claims and records of earlier mail meet the fault as well: how many mails there are until it has come and gone differs.
    for number in range(200):
        clients.send(running.smtp_port, [f"{error}-{number}"])
        if clients.nacked and number > 40:
            break
    after = Clients()
    wait_until(lambda: _taken(after, running.smtp_port), what="mail is taken again")
    drained(running)

    assert clients.nacked, "no call failed"
    assert set(clients.nacked.values()) <= {451, 452}
    clients.acked |= after.acked
    clients.nacked |= after.nacked
    clients.unknown |= after.unknown
    judge(running, qboxmail, clients)


def _taken(clients: Clients, port: int) -> bool:
    """One more mail: whether it got 250."""
    clients.send(port, [f"after-{len(clients.acked | clients.nacked.keys() | clients.unknown)}"])
    return bool(clients.acked)


def test_log_that_nobody_can_write(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """D6: the disk of the log is full; mail flows."""
    running = start_relay(extra=QUICK)
    running.stop()
    running.log = Path("/dev/full")
    running.start()
    clients = Clients()
    clients.send(running.smtp_port, [f"silent-{number}" for number in range(10)])
    drained(running)

    assert len(clients.acked) == 10
    assert len(qboxmail.messages(content=0)) == 10


def test_no_inode_left(small_disk: Path, qboxmail: Sandbox) -> None:
    """D5: not one file more can be made: mail is taken and delivered, because the spool's files are there."""
    with relay(small_disk / "relay", qboxmail.url, extra=f"{QUICK}\n{NO_RESERVE}") as running:
        clients = Clients()
        clients.send(running.smtp_port, ["before"])
        subprocess.run(["mount", "-o", "remount,nr_inodes=64", str(small_disk)], check=True)
        with contextlib.suppress(OSError):
            for number in range(100):
                (small_disk / f"food-{number}").touch()
        assert os.statvfs(small_disk).f_ffree == 0
        clients.send(running.smtp_port, [f"full-{number}" for number in range(10)])
        drained(running)

        judge(running, qboxmail, clients)
        assert len(clients.acked) == 11
