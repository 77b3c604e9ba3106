"""What one node found out about an account holds for all, and one of them finds out whether it is over."""

import asyncio
from datetime import timedelta

from qboxrelay.spool.postgres.nodes import PostgresShared
from qboxrelay.spool.shared import SharedCondition
from tests.contract.nodes.harness import Schema
from tests.contract.spool.harness import ManualClock, scenario

LEASE = timedelta(seconds=60)


async def told(node: PostgresShared, account: str = "default") -> SharedCondition:
    return next(one for one in await node.conditions() if one.account == account)


async def tell(node: PostgresShared, condition: str = "quota", seconds: float = 30) -> None:
    await node.tell("default", condition, reason="words", token=b"digest", wait=timedelta(seconds=seconds))


@scenario
async def test_condition_is_seen_by_all() -> None:
    """Its reason, how long it has lasted and how long it lasts, by the clock that all of them share."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        await tell(one)
        clock.advance(timedelta(seconds=10))
        found = await told(two)
        assert (found.condition, found.reason, found.token) == ("quota", "words", b"digest")
        assert (found.lasted, found.wait) == (timedelta(seconds=10), timedelta(seconds=20))


@scenario
async def test_shorter_pause_hides_no_longer_one() -> None:
    """A late answer that asks for less changes nothing; one that asks for more does, and the beginning stays."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        await tell(one)
        await tell(two, "rate", 5)
        assert (await told(one)).condition == "quota"
        clock.advance(timedelta(seconds=10))
        await tell(two, "quota", 60)
        found = await told(one)
        assert (found.wait, found.lasted) == (timedelta(seconds=60), timedelta(seconds=10))


@scenario
async def test_probe_by_one_at_a_time() -> None:
    """Not before the pause is over, then by whoever asks first, and by another only when that one's time has run out."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        assert not await one.may_probe("default", LEASE)
        await tell(one)
        assert not await one.may_probe("default", LEASE)
        clock.advance(timedelta(seconds=30))
        assert await two.may_probe("default", LEASE)
        assert await two.may_probe("default", LEASE)
        assert not await one.may_probe("default", LEASE)
        assert (await told(one)).wait == LEASE
        assert (await told(two)).wait == timedelta()
        clock.advance(LEASE)
        assert await one.may_probe("default", LEASE)
        assert not await two.may_probe("default", LEASE)


@scenario
async def test_one_of_many_that_ask_at_once() -> None:
    """However many nodes ask in the same moment, one probes."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one, schema.node("two") as two, schema.node("three") as three:
        await tell(one)
        clock.advance(timedelta(seconds=30))
        assert sum(await asyncio.gather(*(node.may_probe("default", LEASE) for node in (one, two, three)))) == 1


@scenario
async def test_recovery_ends_it_for_all_unless_worse_was_heard() -> None:
    """A success is a success of what was known when it began."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one, schema.node("two") as two:
        await tell(one)
        version = (await told(one)).version
        await two.recovered("default", version)
        assert (await told(one)).condition == "running"
        assert not await one.may_probe("default", LEASE)

        await tell(one, "configuration")
        version = (await told(two)).version
        clock.advance(timedelta(seconds=30))
        await tell(one, "configuration")
        await two.recovered("default", version)
        assert (await told(two)).condition == "configuration"


@scenario
async def test_change_is_heard_at_once() -> None:
    """By the others, and without a look."""
    schema = Schema()
    async with schema.node("one") as one, schema.node("two") as two:
        listening = asyncio.create_task(two.run())
        try:
            await tell(one)
            # Not `changed`, which returns after a while in any case.
            await asyncio.wait_for(two._watch.noticed(), 60)
        finally:
            listening.cancel()
            await asyncio.wait({listening})
        assert (await told(two)).condition == "quota"
