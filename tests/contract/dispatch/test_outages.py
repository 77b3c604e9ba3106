"""Outages of every kind, one after the other: an hour of them in seconds, and as long as one likes in real time.

For the hour the relay's clock runs six hundred times as fast, the network as fast as ever.
"""

import asyncio
import os
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qboxrelay.model.clock import Clock, SystemClock
from qboxrelay.model.submission import State
from qboxrelay.settings.schema import DeliverySettings
from tests.contract.dispatch.harness import account, dispatching, mails, opened, quick, scenario
from tests.support.scripted_api import ACCEPT, ScriptedApi, Step

FACTOR = 600
HOUR = 3600 / FACTOR
REAL_SECONDS = float(os.environ.get("TESTS_OUTAGE_SECONDS", "3"))

TROUBLES = [
    Step(status=503),
    Step(status=500),
    Step(status=429, headers={"Retry-After": "60"}),
    Step(status=401),
    Step(status=302, headers={"Location": "http://elsewhere.invalid/"}),
    Step(body=b"<html>please log in</html>"),
    Step(ending="before_body"),
    Step(ending="after_body"),
    Step(ending="after_body", accept=True),
    Step(ending="in_body", accept=True),
    Step(ending="hangs", accept=True),
    ACCEPT,
    ACCEPT,
]

POISON = {"m7", "m40"}
"""Refused for good, each with every request that carries it."""


class FastClock:
    """A clock whose hour takes six seconds."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (time.monotonic() - self._started) * FACTOR

    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds() / FACTOR)


def hour(**changes: Any) -> DeliverySettings:
    schedule = ["30s", "1m", "2m", "5m"]
    pauses = {"rate_pause": "1s", "account_pause": "60s", "breaker_pause": "10s", "lease": "30m"}
    return quick(retry_schedule=schedule, **pauses, **changes)


@scenario
async def test_an_hour_of_outages(tmp_path: Path) -> None:
    """At every moment what was taken is sent, failed, held or waits; afterwards all is delivered, and twice only what was unknown."""
    assert await _live_through(tmp_path, FastClock(), hour(), HOUR) > 0, "no answer was ever lost"


@scenario
async def test_an_hour_of_outages_without_duplicates(tmp_path: Path) -> None:
    """The same where unknown outcomes are held: nothing is accepted twice, and all that is not sent is held or failed."""
    assert await _live_through(tmp_path, FastClock(), hour(unknown_outcome="hold"), HOUR) == 0


@pytest.mark.timeout(REAL_SECONDS + 300)
@scenario
async def test_outages_in_real_time(tmp_path: Path) -> None:
    """The same with the machine's own clock: with TESTS_OUTAGE_SECONDS=600 ten minutes of it."""
    settings = quick(
        retry_schedule=["1s", "2s"], rate_pause="200ms", account_pause="1s", breaker_pause="500ms", max_retry_after="1s"
    )
    await _live_through(tmp_path, SystemClock(), settings, REAL_SECONDS)


async def _live_through(tmp_path: Path, clock: Clock, settings: DeliverySettings, seconds: float) -> int:
    """How many mails were accepted a second time."""
    chance = random.Random(20261121)
    subjects: list[str] = []
    async with (
        ScriptedApi(*[Step(status=400, subject=name) for name in POISON]) as api,
        opened(tmp_path, clock) as spool,
    ):
        used = account(api.base_url, max_messages_per_request=10)
        async with dispatching(spool, used, settings=settings, clock=clock) as relay:
            # Chance alone may spare a slow machine, which sends few requests.
            api.script(Step(ending="after_body", accept=True))
            over = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < over:
                api.script(*[chance.choice(TROUBLES)] * chance.randint(1, 4))
                arrived = [f"m{len(subjects) + number}" for number in range(chance.randint(1, 8))]
                await spool.put(mails(*arrived))
                subjects += arrived
                now = (await spool.depth()).messages
                assert sum(now.values()) == len(subjects)
                assert now.get(State.SENT, 0) <= len(api.accepted), "called sent, and never accepted"
                assert now.get(State.FAILED, 0) <= len(POISON)
                await asyncio.sleep(chance.uniform(0.02, 0.15))
            api.recover()
            await relay.emptied()
            depth = await spool.depth()
            maybe_twice = relay.metric("qboxrelay_maybe_duplicates_total")
    sent, held = depth.messages[State.SENT], depth.messages.get(State.HELD, 0)
    poison = POISON & set(subjects)
    assert depth.messages[State.FAILED] == len(poison)
    assert sent + held + len(poison) == len(subjects)
    assert settings.unknown_outcome == "hold" or held == 0
    # Of what is held the API may have taken some: that is what nobody knew.
    assert sent <= len(api.accepted) <= sent + held
    assert not POISON & set(api.accepted)
    twice = api.accepted.total() - len(api.accepted)
    assert twice <= maybe_twice
    return twice
