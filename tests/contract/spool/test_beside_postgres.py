"""A command's own way to a spool on a server: nothing is made by looking, and nothing stays open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qboxrelay.model.submission import State
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.facts import PostgresFactsBeside
from qboxrelay.spool.postgres.parcels import PostgresParcels
from qboxrelay.spool.postgres.queue import PostgresQueue
from qboxrelay.spool.queue import Act, Selection
from tests.contract.spool.harness import PostgresSpools, mail, scenario, spools_of
from tests.contract.spool.test_queue import one_of_each


@pytest.fixture
def spools(tmp_path: Path) -> PostgresSpools:
    made = spools_of("postgres", tmp_path)
    assert isinstance(made, PostgresSpools)
    return made


@asynccontextmanager
async def beside(spools: PostgresSpools) -> AsyncIterator[PostgresQueue]:
    queue = PostgresQueue.beside(
        lambda: Database.open(spools.url, schema=spools.schema, make=False), clock=spools.clock
    )
    try:
        yield queue
    finally:
        await queue.close()


@scenario
async def test_facts_go_both_ways(spools: PostgresSpools) -> None:
    facts = PostgresFactsBeside(lambda: Database.open(spools.url, schema=spools.schema, make=False))
    with pytest.raises(SpoolError, match="no spool"):
        await facts.recall("domains")
    async with spools.open() as spool:
        await facts.remember("domains", b"\x00one")
        fact = await spool.recall("domains")
        assert fact is not None
        assert fact.value == b"\x00one"
        assert await facts.recall("domains") == fact
        assert await facts.recall("domains", after=fact.version) is None


@scenario
async def test_a_queue_that_is_not_there_is_not_made(spools: PostgresSpools) -> None:
    async with beside(spools) as queue:
        with pytest.raises(SpoolError, match="no spool"):
            await queue.overview()
        with pytest.raises(SpoolError, match="no spool"):
            await queue.act(Act.HOLD, ["a-1"], by="ann")


@pytest.mark.parametrize("text", ["a\0-1", "\ud800", "a%", "'; --", 'x"@example.net', "\0@example.net"])
@scenario
async def test_what_nobody_could_store_is_looked_for_and_not_found(spools: PostgresSpools, text: str) -> None:
    """NUL and lone surrogates cannot be in the database: they are in no id, and they are no error."""
    async with spools.open() as spool, beside(spools) as queue:
        await spool.put([mail("a")])
        assert await queue.find(text) == []
        assert await queue.trace(text, limit=3) == []
        assert await queue.story(text) is None
        assert await queue.content(text) is None
        assert await queue.handled(text) == []
        assert (await queue.select(Selection(address=text, error=text), limit=3)).records == ()
        (done,) = await queue.act(Act.HOLD, [text], by=text)
        assert "no such" in done.refused
        assert await queue.pause("", by=text, why=text)


@scenario
async def test_a_look_counts_what_a_move_would_take(spools: PostgresSpools) -> None:
    """Beside a relay, from its figures."""
    async with spools.open() as spool:
        await one_of_each(spool)
        parcels = PostgresParcels(
            await Database.open(spools.url, schema=spools.schema, make=False), now=spools.clock.now()
        )
        survey = await parcels.survey()
        await parcels.close()
    assert survey.mail == {State.FAILED: 1, State.HELD: 1, State.QUEUED: 2, State.SENDING: 1}
    assert (survey.messages, survey.bytes, survey.trail) == (5, 75, 1)
