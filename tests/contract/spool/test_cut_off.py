"""A relay that stops while its server keeps silent: nothing waits for that beyond the time it is given."""

import asyncio
from datetime import timedelta

import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.parts import close_spool
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.fallback.local import Local, path_in
from qboxrelay.spool.fallback.nodes import LateShared
from qboxrelay.spool.fallback.spool import FallbackSpool
from qboxrelay.spool.port import Spool, SpoolError, SpoolUnreachable
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.nodes import PostgresShared
from qboxrelay.spool.postgres.spool import PostgresSpool
from qboxrelay.spool.shared import Shared
from tests.contract.spool.harness import ACCEPTED, mail, scenario, sent, take, taken
from tests.contract.spool.way import Way, until
from tests.support.processes import HOST

HOUR = timedelta(hours=1)
"""No other limit ends a wait in the time of a test."""
SHORT, PATIENCE = 3, 60
SETTINGS = SpoolSettings(commit_timeout="1h")


async def database_of(way: Way) -> Database:
    url = f"postgresql://relay@{HOST}:{way.proxy.port}/postgres"
    return await Database.open(url, schema=way.schema, connect_timeout=HOUR, statement_timeout=HOUR)


async def spool_of(way: Way) -> PostgresSpool:
    return await PostgresSpool.open(
        await database_of(way), data_dir=way.folder / "node", node="node", settings=SETTINGS, clock=SystemClock()
    )


async def shared_of(way: Way) -> PostgresShared:
    return await PostgresShared.enter(
        await database_of(way), name="node", instance="1", version="1", clock=SystemClock()
    )


@pytest.mark.parametrize("late", [False, True], ids=["without a fallback", "with a fallback"])
@scenario
async def test_everything_under_way_ends(way: Way, late: bool) -> None:
    """Mail, claims, records, looks and the goodbye; whoever waited hears that nobody knows. Later all of it is as it was."""
    spool, shared = await _opened(way, late=late)
    await spool.put([mail("a"), mail("b")])
    batch = await taken(spool, messages=1)
    way.proxy.swallow()
    works = [
        spool.put([mail("c")]),
        take(spool),
        spool.record(batch, ACCEPTED, [sent(one) for one in batch.submissions]),
        spool.depth(),
        shared.nodes(),
        # More than there are connections.
        *(spool.find(str(number)) for number in range(20)),
    ]
    answers = [asyncio.ensure_future(work) for work in works]
    server = spool.server if isinstance(spool, FallbackSpool) else spool
    assert isinstance(server, PostgresSpool)
    database = server.database
    await until(lambda: database.in_use)

    await close_spool(spool, shared, lambda _longest: timedelta())

    errors = await asyncio.gather(*answers, return_exceptions=True)
    # With a fallback the mail goes there, or hears that the spool is closed.
    assert all(isinstance(error, SpoolError) for error in errors[1:]), errors
    with pytest.raises(SpoolError):
        await spool.depth()
    way.proxy.heal()
    way.proxy.reset()
    async with way.open(SETTINGS) as again:
        assert {one.id for one in await again.latest()} >= {"a-1", "b-1"}


@scenario
async def test_who_goes_away_is_not_kept(way: Way) -> None:
    """A caller that is cancelled in the middle of a statement does not wait until the server has cancelled that."""
    spool = await spool_of(way)
    way.proxy.swallow()
    looking = asyncio.create_task(spool.depth())
    await until(lambda: spool.database.in_use)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert not spool.database.in_use
    spool.cut_off()
    with pytest.raises(SpoolUnreachable, match="stops"):
        await spool.depth()
    spool.cut_off()
    await spool.close()


@pytest.mark.parametrize("cut_off", [False, True], ids=["in time", "cut off"])
@scenario
async def test_what_is_left_begun(way: Way, cut_off: bool) -> None:
    """A server that keeps silent while it is to undo that is waited for no longer than it would have been for the work itself."""
    database = await database_of(way)
    begun = asyncio.Event()

    async def leave() -> None:
        async with database.reading(None if cut_off else SHORT) as connection:
            await connection.execute("BEGIN")
            way.proxy.swallow()
            await until(lambda: way.proxy.swallows)
            begun.set()

    async with asyncio.timeout(PATIENCE):
        leaving = asyncio.create_task(leave())
        await begun.wait()
        if cut_off:
            await asyncio.sleep(0)
            database.cut_off()
        await leaving

        assert not database.in_use
        way.proxy.heal()
        await database.close()


@scenario
async def test_a_server_that_answers_is_waited_for(way: Way) -> None:
    """Closing in time cuts off nothing."""
    spool, shared = await _opened(way, late=False)
    storing = asyncio.ensure_future(spool.put([mail("a")]))
    await asyncio.sleep(0)

    await close_spool(spool, shared, lambda _longest: HOUR)

    await storing
    assert way.stored() == ["a-1"]


async def _opened(way: Way, *, late: bool) -> tuple[Spool, Shared]:
    if not late:
        return await spool_of(way), await shared_of(way)
    shared = LateShared(lambda: shared_of(way))
    await shared.enter()
    clock = SystemClock()
    local = await Local.open(path_in(way.folder), settings=SETTINGS, clock=clock)
    return await FallbackSpool.open(local, open_server=lambda: spool_of(way), clock=clock), shared
