"""Turns of one token over several nodes: by one clock, never more than allowed, whoever asks, and however late."""

import asyncio
import math
from datetime import timedelta
from itertools import pairwise

import pytest

from qboxrelay.dispatch.rate import RateLimit
from qboxrelay.dispatch.turns import Turns
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.nodes import PostgresShared
from qboxrelay.spool.postgres.rates import Rates
from tests.contract.nodes.harness import Schema
from tests.contract.spool.harness import ManualClock, scenario

TOKEN, OTHER = b"a digest", b"another digest"


async def turn(
    node: PostgresShared | Rates, token: bytes = TOKEN, *, interval: float = 0.1, late: float = 0.0
) -> float:
    return (await node.turn(token, "default", interval=interval, late=late, accepted=0, within=math.inf)).wait


@scenario
async def test_turns_of_two_nodes_follow_one_another() -> None:
    """Whoever asks: each turn is an interval after the one before, and a token of its own has turns of its own."""
    schema = Schema(ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        waits = [await turn(node) for node in (one, two, two, one)]
        assert waits == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-4)
        assert await turn(one, OTHER) == 0


@scenario
async def test_turns_that_are_asked_for_at_once() -> None:
    """By the server's own clock, from four tasks of two nodes: each turn has its distance from the one before."""
    schema = Schema()
    async with schema.node("one") as one, schema.node("two") as two:

        async def latest() -> float:
            (row,) = await schema.ask("SELECT turn_at FROM rates")
            return float(row["turn_at"])

        async def take(node: PostgresShared) -> None:
            for _ in range(15):
                await turn(node)

        await turn(one)
        first = await latest()
        await asyncio.gather(*(take(node) for node in (one, two) for _ in range(2)))
        assert await latest() - first >= 60 * 0.1 - 1e-3


@scenario
async def test_idle_token_saves_up_nothing() -> None:
    """After an hour the first turn is at once, and the next one an interval later."""
    schema = Schema(clock := ManualClock())
    async with schema.node() as node:
        await turn(node)
        clock.advance(timedelta(hours=1))
        assert [await turn(node), await turn(node)] == pytest.approx([0, 0.1], abs=1e-4)


@scenario
async def test_slow_down_holds_for_all_and_wears_off() -> None:
    """What one node was refused for halves the turns of all of them, down to a tenth; each request that passes brings a little of it back."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        await turn(one)
        await one.slow_down(TOKEN)
        assert await turn(two) == pytest.approx(0.2, abs=1e-4)
        assert await turn(one) == pytest.approx(0.4, abs=1e-4)
        for _ in range(10):
            await two.slow_down(TOKEN)
        clock.advance(timedelta(minutes=1))
        assert [await turn(one), await turn(one)] == pytest.approx([0, 1.0], abs=1e-4)
        await two.turn(TOKEN, "default", interval=0.1, late=0, accepted=1000, within=60)
        clock.advance(timedelta(minutes=1))
        assert [await turn(one), await turn(one)] == pytest.approx([0, 0.1], abs=1e-4)


@scenario
async def test_server_clock_that_was_set_back() -> None:
    """After a failover to a server whose clock is an hour behind nobody waits for an hour."""
    schema = Schema(clock := ManualClock())
    async with schema.node() as node:
        await turn(node)
        clock.jump(timedelta(hours=-1))
        assert await turn(node) <= 100 + 1e-4
        clock.advance(timedelta(seconds=101))
        assert await turn(node) <= 0.1


@scenario
async def test_turn_that_is_too_far_off_stays() -> None:
    """However often somebody asks who cannot wait for it: it comes no later, and whoever can wait gets it."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        assert [await turn(one, interval=5), await turn(one, interval=5)] == pytest.approx([0, 5], abs=1e-4)
        for _ in range(50):
            asked = await two.turn(TOKEN, "default", interval=5, late=0, accepted=0, within=9)
            assert not asked.taken
            assert asked.wait == pytest.approx(10, abs=1e-4)
        clock.advance(timedelta(seconds=1))
        asked = await two.turn(TOKEN, "default", interval=5, late=0, accepted=0, within=9.01)
        assert asked.taken
        assert asked.wait == pytest.approx(9, abs=1e-4)


@scenario
async def test_server_clock_that_was_set_back_and_nobody_who_waits_long() -> None:
    """The turn comes nearer while they ask, although each of them finds it too far off at first."""
    schema = Schema(clock := ManualClock())
    async with schema.node() as node:
        await turn(node)
        clock.jump(timedelta(hours=-1))
        far = await node.turn(TOKEN, "default", interval=0.1, late=0, accepted=0, within=2)
        assert not far.taken
        assert far.wait == pytest.approx(100, abs=1e-4)
        clock.advance(timedelta(seconds=99))
        near = await node.turn(TOKEN, "default", interval=0.1, late=0, accepted=0, within=2)
        assert near.taken
        assert near.wait == pytest.approx(1, abs=1e-4)


@scenario
async def test_turn_of_a_server_that_is_gone() -> None:
    """No turn is made up: the caller hears of it."""
    schema = Schema()
    database: Database = await schema.database()
    await database.close()
    with pytest.raises(SpoolError):
        await turn(Rates(database))


@scenario
async def test_requests_keep_their_distance_however_late_they_are() -> None:
    """Timers and answers of the server may be late by any time: what is too late is not used, and no second holds more than ten requests."""
    schema, starts = Schema(clock := ManualClock()), []
    lateness = [0.0, 0.004, 0.03, 0.2, 0.0, 0.0, 0.7, 0.01, 0.049, 1.5, 0.0, 0.02]
    async with schema.node("one") as one, schema.node("two") as two:
        lanes = [
            Turns(
                shared=node,
                account="default",
                token=lambda: TOKEN,
                rate=RateLimit(10.0),
                monotonic=clock.monotonic,
                heed=_heed,
            )
            for node in (one, two)
        ]
        for number in range(120):
            lane = lanes[number % 2]
            taken = await lane.next(math.inf)
            clock.advance(timedelta(seconds=taken.wait(clock.monotonic()) + lateness[number % len(lateness)]))
            if lane.use(taken, clock.monotonic()):
                starts.append(clock.monotonic())
    assert len(starts) > 60
    assert all(later - earlier >= 1 - 2e-3 for earlier, later in zip(starts, starts[10:], strict=False))
    assert all(later >= earlier for earlier, later in pairwise(starts))


async def _heed(_account: str, version: int) -> None:
    assert version == 0


@scenario
async def test_turn_tells_how_much_is_known_of_the_account() -> None:
    """Whoever takes a turn sees that another node found out something."""
    schema = Schema(ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        for version in (0, 1, 2):
            turned = await two.turn(TOKEN, "default", interval=0.1, late=0, accepted=0, within=60)
            assert turned.version == version
            await one.tell("default", "quota", reason="words", token=TOKEN, wait=timedelta(seconds=1))


@scenario
async def test_tokens_that_nobody_uses_are_forgotten() -> None:
    """A day after their last turn."""
    schema = Schema(clock := ManualClock())
    async with schema.node() as node:
        await turn(node)
        clock.advance(timedelta(hours=25))
        await turn(node, OTHER)
        await node.forget()
        assert [bytes(row["token"]) for row in await schema.ask("SELECT token FROM rates")] == [OTHER]
