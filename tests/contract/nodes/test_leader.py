"""One node speaks for the spool as a whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qboxrelay.spool.postgres.nodes import PostgresShared
from tests.contract.dispatch.harness import until
from tests.contract.nodes.harness import Schema
from tests.contract.spool.harness import scenario


@asynccontextmanager
async def running(*nodes: PostgresShared) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(node.run()) for node in nodes]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def one_leads(*nodes: PostgresShared) -> PostgresShared:
    async def led() -> bool:
        return any(node.leads for node in nodes)

    await until(led)
    (leader,) = [node for node in nodes if node.leads]
    return leader


@scenario
async def test_one_leads_and_another_follows() -> None:
    """One of them, and after it stopped the other; the list says which."""
    schema = Schema()
    nodes = [await schema.enter(name) for name in ("one", "two")]
    async with running(*nodes) as tasks:
        leader = await one_leads(*nodes)
        place = nodes.index(leader)
        other = nodes[1 - place]
        tasks[place].cancel()
        await asyncio.wait({tasks[place]})
        await leader.close()
        assert not leader.leads
        assert await one_leads(other) is other

        async def listed() -> bool:
            return [node.leads for node in await other.nodes()] == [place == 1, place == 0]

        await until(listed)
    await other.close()


@scenario
async def test_leader_whose_session_ends() -> None:
    """It no longer leads from the moment in which it knows; then one of them leads again, and its name is its own again."""
    schema = Schema()
    async with schema.node("one") as one, running(one):
        await one_leads(one)
        session = one._watch._connection
        assert session is not None
        await schema.ask(f"SELECT pg_terminate_backend({session.info.backend_pid})")

        async def again() -> bool:
            return one.leads and one._watch.named and one._watch._connection is not session

        await until(again)


@scenario
async def test_schemas_have_leaders_of_their_own() -> None:
    """Two spools in one database do not know of each other: neither their leaders nor their names."""
    first, second = Schema(), Schema()
    async with first.node("one") as one, second.node("one") as other, running(one, other):
        await one_leads(one)
        await one_leads(other)
