"""Everything at once, by chance: clients, an API that misbehaves, kills, stops and starts; the promises hold at the end.

`TESTS_SOAK_SECONDS` says how long (3600 for an hour), `TESTS_SOAK_SEED` which way; the seed is in the test's name.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.test_kill import unrecorded
from tests.support.ledger import Clients, drained, judge
from tests.support.processes import Relay, Sandbox

SECONDS = float(os.environ.get("TESTS_SOAK_SECONDS", "15"))
SEED = int(os.environ.get("TESTS_SOAK_SEED", "20261121"))

ROUND_SECONDS = 15.0
"""After each the promises are judged."""

# A deadline that no busy machine misses: what it cuts off may have arrived, and nobody counted it as doubtful.
SETTINGS = '[delivery]\nretry_schedule = ["1s"]\nrequest_deadline = "10s"\nconnect_timeout = "5s"\nlease = "30s"\nbreaker_pause = "1s"'

CLEAN: list[dict[str, Any]] = [
    {"action": "status", "status": 503, "share": 0.5},
    {"action": "status", "status": 429, "headers": {"Retry-After": "1"}, "share": 0.5},
    {"action": "early_status", "status": 502, "share": 0.3},
    {"action": "delay", "seconds": 0.5, "share": 0.5},
    {"action": "drop", "share": 0.5},
    {"action": "entries", "how": "reversed"},
    {"action": "status", "status": 413, "share": 0.3},
]
"""What leaves no doubt whether the API has the mail."""
DOUBTFUL: list[dict[str, Any]] = [
    {"action": "drop_after_body", "accept": True, "count": 1},
    {"action": "hang", "accept": True, "count": 1},
    {"action": "half_answer", "accept": True, "count": 1},
    {"action": "headers_only", "accept": True, "count": 1},
]
"""What the API took without saying so: each may be delivered twice."""


class Fate:
    """What happens next, from one seed."""

    def __init__(self, relay: Relay, qboxmail: Sandbox) -> None:
        self._relay = relay
        self._qboxmail = qboxmail
        self._chance = random.Random(SEED)
        self.doubtful = 0
        self.done: list[str] = []

    def strike(self) -> None:
        act = self._chance.choice([self._misbehave, self._misbehave, self._doubt, self._behave, self._kill, self._stop])
        self.done.append(act.__name__.strip("_"))
        act()
        time.sleep(self._chance.uniform(0.2, 1.5))

    def _misbehave(self) -> None:
        self._qboxmail.faults(self._chance.choice(CLEAN))

    def _doubt(self) -> None:
        self.doubtful += 1
        self._qboxmail.faults(self._chance.choice(DOUBTFUL))

    def _behave(self) -> None:
        self._qboxmail.faults()

    def _kill(self) -> None:
        self._relay.kill()
        # What was under way may have arrived; each request of it is one more that may repeat.
        self.doubtful += len(unrecorded(self._relay))
        self._relay.start()

    def _stop(self) -> None:
        assert self._relay.stop() == 0
        self._relay.start()


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS + 600)
@pytest.mark.parametrize("seed", [SEED])
def test_soak(seed: int, start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """Accepted is delivered, once, but where nobody could know; refused is not delivered; nothing is forgotten."""
    relay = start_relay(extra=SETTINGS)
    fate, until = Fate(relay, qboxmail), time.monotonic() + SECONDS
    taken, rounds = 0, 0
    while time.monotonic() < until:
        rounds += 1
        clients = Clients()
        with applications(relay, clients, seed, f"soak-{rounds}"):
            ends = min(until, time.monotonic() + ROUND_SECONDS)
            while time.monotonic() < ends:
                fate.strike()
        qboxmail.faults()
        drained(relay, 300)
        judge(relay, qboxmail, clients, may_repeat=fate.doubtful)
        taken += len(clients.acked)
        # The sandbox remembers the newest ten thousand. What comes again later is seen in the next round as mail that nobody sent.
        qboxmail.forget()
        fate.doubtful = 0
    assert taken > SECONDS, f"hardly any mail was taken: {fate.done}"


@contextmanager
def applications(relay: Relay, clients: Clients, seed: int, prefix: str) -> Iterator[None]:
    """Four of them send for as long as the block lasts."""
    over = threading.Event()

    def send(name: int) -> None:
        chance, number = random.Random(seed + name), 0
        while not over.is_set():
            clients.send(relay.smtp_port, [f"{prefix}-{name}-{number + n}" for n in range(5)])
            number += 5
            over.wait(chance.uniform(0.0, 0.2))

    threads = [threading.Thread(target=send, args=(name,), daemon=True) for name in range(4)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in threads:
            one.join(300)
