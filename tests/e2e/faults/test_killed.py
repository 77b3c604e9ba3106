"""K: the process is gone from one instruction to the next (kill -9, the OOM killer).

Rows of the fault table: K1 to K9 by fail points and by system-call injection, K10 to K12 by name.
"""

import os
import random
import shutil
import time
from collections.abc import Callable

import pytest

from qboxrelay.failpoints import POINTS, VARIABLE
from tests.e2e.test_kill import unrecorded
from tests.support.ledger import Clients, drained, judge
from tests.support.processes import Relay, Sandbox, wait_until
from tests.support.schemas import back_to_schema

StartRelay = Callable[..., Relay]

QUICK = '[delivery]\nretry_schedule = ["1s"]\nlease = "20s"\nrequest_deadline = "5s"\nconnect_timeout = "2s"\nbreaker_pause = "1s"'
EVERY_CALL = bool(os.environ.get("TESTS_EVERY_CALL"))
"""Kill at every system call of a kind rather than at some of them; takes an hour."""

FALLBACK = {"fallback-taken", "fallback-moved", "fallback-dropped"}
SENDING = ["before-commit", "after-commit", "after-claim", "before-post", "after-post", "after-answer", "after-record"]
ACCEPTED_BEFORE = {"after-post", "after-answer", "after-record"}
"""The API may have what the relay knows nothing of: of this request, or of one beside it."""


@pytest.mark.parametrize(
    ("point", "mails_each"),
    [*((point, 25) for point in SENDING), *((point, 1) for point in ("after-commit", "after-post", "after-answer"))],
)
def test_killed_at(point: str, mails_each: int, start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Killed at a named point of one mail's way, or of many: what was answered 250 arrives, and twice only where the API may have had it."""
    relay = start_relay(extra=QUICK)
    relay.stop()
    relay.start(environment={VARIABLE: point})
    clients = Clients()
    threads = clients.load(relay.smtp_port, point, clients=2, mails_each=mails_each)
    wait_until(relay.died, what="the relay reached the point")
    for thread in threads:
        thread.join(120)
    may_repeat = len(unrecorded(relay)) if point in ACCEPTED_BEFORE else 0

    relay.start()
    drained(relay)

    judge(relay, qboxmail, clients, may_repeat=may_repeat)
    delivered = {entry["message"]["subject"] for entry in qboxmail.messages(content=0)}
    if point == "before-commit":
        assert clients.unknown
        assert not delivered, "what was not committed was delivered"
    if point == "after-commit":
        assert clients.unknown & delivered, "what was committed was not delivered"


def test_every_point_is_tested() -> None:
    """Those of `spool copy` are in test_spool_copy.py, those of the fallback in test_postgres_faults.py."""
    assert {*SENDING, "migration", "pruning", "copy-taken", "copy-put", "copy-dropped", *FALLBACK} == set(POINTS)


def test_killed_during_a_migration(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """A step of the schema is whole or not there, and the mail of the old schema is delivered by the new one."""
    relay = start_relay(extra=QUICK)
    qboxmail.faults({"action": "status", "status": 503})
    clients = Clients()
    clients.send(relay.smtp_port, ["old-1", "old-2"])
    relay.kill()
    back_to_schema(relay.directory / "data/spool.db", 1)

    for step in range(1, 20):
        relay.begin(environment={VARIABLE: f"migration:{step}"})
        if not wait_until(lambda: relay.died() or relay.answers(), what="the relay died or started") or relay.answers():
            break
    relay.kill()
    relay.start()
    qboxmail.faults()
    drained(relay)

    assert step > 1, "no step of a migration was reached"
    judge(relay, qboxmail, clients)


def test_killed_while_pruning(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """What is old goes later; what is not stays."""
    relay = start_relay(extra=f'{QUICK}\n[spool]\nkeep_trail = "1s"')
    clients = Clients()
    clients.send(relay.smtp_port, [f"pruned-{number}" for number in range(5)])
    drained(relay)
    qboxmail.faults({"action": "status", "status": 503})
    clients.send(relay.smtp_port, ["waiting-1", "waiting-2"])
    wait_until(lambda: relay.events("request.deferred"), what="the API refused")
    relay.stop()
    time.sleep(1.1)  # the age at which a trail is pruned

    relay.begin(environment={VARIABLE: "pruning"})
    wait_until(relay.died, what="the relay pruned")
    qboxmail.faults()
    relay.start()
    drained(relay)

    judge(relay, qboxmail, clients)


def test_killed_again_and_again_while_it_starts(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """K10: recovery that is cut off twenty times converges; nothing is lost, and nothing that was not under way is sent twice."""
    relay = start_relay(extra=QUICK)
    qboxmail.faults({"action": "hang", "accept": True, "count": 1}, {"action": "status", "status": 503})
    clients = Clients()
    clients.send(relay.smtp_port, [f"again-{number}" for number in range(20)])
    relay.kill()
    chance = random.Random(20)
    for _ in range(20):
        relay.begin()
        time.sleep(chance.uniform(0.2, 1.0))  # somewhere between the interpreter's start and the first request
        relay.kill()
    qboxmail.faults()
    relay.start()
    drained(relay)

    judge(relay, qboxmail, clients, may_repeat=1)


CALLS = {"pwrite64": [2, 12, 40], "fdatasync": [1, 5], "write": [2, 14], "openat": [400]}
"""System calls that write, sync, send and open, and at which of them (of one thread) the process ends."""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian: apt install strace)")
@pytest.mark.parametrize(
    ("call", "number"),
    [(call, number) for call, numbers in CALLS.items() for number in (range(1, 200) if EVERY_CALL else numbers)],
)
def test_killed_at_a_system_call(call: str, number: int, start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """The N-th call of a kind is the last one, wherever that is: while it starts, in a commit, in a reply, in a request."""
    relay = start_relay(extra=QUICK)
    relay.stop()
    injection = f"inject={call}:signal=KILL:when={number}"
    relay.begin(prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", injection])
    wait_until(lambda: relay.died() or relay.answers(200), what="the relay died or is ready")
    clients = Clients()
    clients.send(relay.smtp_port, [f"{call}-{number}-{n}" for n in range(10)])
    ended = _ended(relay)
    relay.kill()
    may_repeat = len(unrecorded(relay))

    relay.start()
    drained(relay)

    assert ended or EVERY_CALL, f"there was no {call} number {number}"
    judge(relay, qboxmail, clients, may_repeat=may_repeat)


def _ended(relay: Relay) -> bool:
    """Whether it died; strace takes a moment to follow."""
    deadline = time.monotonic() + (3 if EVERY_CALL else 60)
    while not relay.died() and time.monotonic() < deadline:
        time.sleep(0.05)
    return relay.died()
