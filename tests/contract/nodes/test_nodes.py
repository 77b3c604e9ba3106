"""Who works on a spool: names, heartbeats, goodbyes."""

from datetime import timedelta

import pytest

from qboxrelay.spool.port import SpoolError, SpoolLocked
from qboxrelay.spool.postgres.nodes import PostgresNodes, PostgresShared
from qboxrelay.spool.shared import SILENT_AFTER, Life, Work
from tests.contract.dispatch.harness import until
from tests.contract.nodes.harness import Schema
from tests.contract.spool.harness import ManualClock, scenario

WORK = Work(accepted=120, sent=100, accepted_per_second=2.0, sent_per_second=1.5)


async def lives(node: PostgresShared) -> dict[str, Life]:
    return {one.name: one.life for one in await node.nodes()}


async def killed(node: PostgresShared) -> None:
    """Its sessions end, and it says nothing more."""
    await node._watch.close()
    await node._database.close()


@scenario
async def test_nodes_are_known_to_each_other() -> None:
    """Name, version, times, what each did; also to a command beside them."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one", work=lambda: WORK) as one, schema.node("two") as two:
        clock.advance(timedelta(seconds=4))
        await one.beat()
        found = await PostgresNodes(schema.database).nodes()
        assert [node.name for node in found] == ["one", "two"]
        first, second = found
        assert (first.version, first.work, first.silent) == ("1.2.3", WORK, timedelta())
        assert (second.work, second.silent) == (Work(), timedelta(seconds=4))
        assert first.seen_at - first.started_at == timedelta(seconds=4)
        assert await two.nodes() == found


@scenario
async def test_life_of_a_node() -> None:
    """It runs, it is silent, it stopped; a day later it is forgotten."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as one:
        two, three = await schema.enter("two"), await schema.enter("three")
        await two.close()
        assert await lives(one) == {"one": Life.RUNNING, "two": Life.STOPPED, "three": Life.RUNNING}
        await killed(three)
        clock.advance(SILENT_AFTER + timedelta(seconds=1))
        await one.beat()
        assert await lives(one) == {"one": Life.RUNNING, "two": Life.STOPPED, "three": Life.SILENT}
        clock.advance(timedelta(days=1))
        await one.beat()
        await one.forget()
        assert await lives(one) == {"one": Life.RUNNING}


@scenario
async def test_two_of_one_name() -> None:
    """The second is refused, and told what to do; the first goes on as it was."""
    schema = Schema()
    async with schema.node("one") as one:
        with pytest.raises(SpoolLocked, match="another relay named one runs on this spool: give each its own name"):
            await schema.enter("one")
        await one.beat()
        assert not one._replaced


@scenario
async def test_name_of_a_node_that_stopped_or_was_killed() -> None:
    """It is free at once: a relay that starts again does not wait."""
    schema = Schema()
    first = await schema.enter("one")
    await first.close()
    second = await schema.enter("one")
    await killed(second)

    async def entered() -> bool:
        try:
            third = await schema.enter("one")
        except SpoolLocked:
            # The server has not seen yet that the session ended.
            return False
        assert await lives(third) == {"one": Life.RUNNING}
        await third.close()
        return True

    await until(entered)


@scenario
async def test_name_of_a_node_whose_machine_is_gone() -> None:
    """Its session may look alive for long: what counts is that it was not heard of. Should it come back, it is told that it was replaced."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as gone:
        clock.advance(SILENT_AFTER + timedelta(seconds=1))
        async with schema.node("one") as other:
            await gone.beat()
            assert gone._replaced
            await other.beat()
            assert not other._replaced


@scenario
async def test_heartbeat_without_a_server() -> None:
    """It is an error of the port's, and a goodbye that nobody hears is none."""
    schema = Schema()
    node = await schema.enter("one")
    await killed(node)
    with pytest.raises(SpoolError):
        await node.beat()
    await node.close()
