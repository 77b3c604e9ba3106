"""Clocks that jump: nothing is stranded, nothing is sent twice."""

from datetime import timedelta

import pytest

from qboxrelay.spool.port import RequestResult
from tests.contract.spool.harness import HORIZON, LEASE, Spools, claim, mail, names, retry, scenario, take, taken

DAY = timedelta(days=1)
DEFERRED = RequestResult(status=503)


@pytest.mark.parametrize("jump", [3 * DAY, -DAY])
@scenario
async def test_a_jump_of_the_wall_clock_ends_no_lease(spools: Spools, jump: timedelta) -> None:
    """A request under way is not sent again because somebody set the clock, and its lease still runs out in its time."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        await taken(spool)
        spools.clock.jump(jump)
        assert await take(spool) is None
        assert await spool.next_due_at("default") == spools.clock.now() + LEASE
        spools.clock.advance(LEASE)
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_a_clock_set_back_strands_nothing(spools: Spools) -> None:
    """A time beyond any wait the relay asks for was written by another clock, and has come."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        await spool.record(batch, DEFERRED, [retry(batch.submissions[0], spools.clock.now() + timedelta(hours=1))])
        spools.clock.jump(-DAY)
        assert await spool.next_due_at("default") == spools.clock.now()
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_a_time_within_the_horizon_is_waited_for(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        await spool.record(batch, DEFERRED, [retry(batch.submissions[0], spools.clock.now() + HORIZON)])
        assert await take(spool) is None
        assert await spool.next_due_at("default") == spools.clock.now() + HORIZON


@scenario
async def test_a_clock_before_1970_still_works(spools: Spools) -> None:
    """A machine without a battery boots in another century."""
    spools.clock.jump(timedelta(days=-60 * 365))
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        await spool.record(batch, DEFERRED, [retry(batch.submissions[0], spools.clock.now() + timedelta(seconds=1))])
        spools.clock.advance(timedelta(seconds=1))
        assert names(await claim(spool)) == ["a"]
