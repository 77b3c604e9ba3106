"""The pool of connections: a pool that is too small is no server that is away, and whoever goes away is let go in silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolError, SpoolUnreachable
from qboxrelay.spool.postgres.changes import Changes
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.faults import SpoolConflict
from qboxrelay.spool.postgres.spool import PostgresSpool
from qboxrelay.spool.postgres.transacting import Transactions
from qboxrelay.spool.statements import load_statements
from tests.contract.spool.harness import mail, scenario
from tests.contract.spool.way import until
from tests.support.postgres import require_postgres, shared_cluster, shared_connection, unused_schema

PATIENCE = 60
SHORT = 0.2


@asynccontextmanager
async def opened(schema: str = "") -> AsyncIterator[Database]:
    """With one connection."""
    require_postgres()
    database = await Database.open(shared_cluster().url(), schema=schema or unused_schema(), pool_size=1)
    try:
        yield database
    finally:
        await database.close()


async def hold(database: Database, taken: asyncio.Event, done: asyncio.Event) -> None:
    async with database.reading() as connection:
        await connection.execute("SELECT 1")
        taken.set()
        await done.wait()


async def fail(database: Database) -> None:
    with pytest.raises(SpoolUnreachable):
        async with database.reading(SHORT):
            pass


def waited_for(database: Database) -> bool:
    return bool(database._pool.get_stats()["requests_waiting"])


async def counted_while_another_is_served(database: Database) -> int:
    """One has the connection, two wait for it, and the second of them in vain."""
    before = database.troubles()
    events = [asyncio.Event() for _ in range(4)]
    first = asyncio.create_task(hold(database, *events[:2]))
    await events[0].wait()
    second = asyncio.create_task(hold(database, *events[2:]))
    await asyncio.sleep(0)
    third = asyncio.create_task(fail(database))
    await asyncio.sleep(0)
    events[1].set()
    await third
    events[3].set()
    await asyncio.gather(first, second)
    return database.troubles() - before


@scenario
async def test_a_pool_that_is_too_small() -> None:
    """The server served somebody meanwhile: that is no trouble after which leases must not be ended for a while."""
    async with opened() as database, asyncio.timeout(PATIENCE):
        # On a machine that stands still in between, the wait is over before somebody is served.
        while await counted_while_another_is_served(database):
            pass


@scenario
async def test_a_server_that_serves_nobody() -> None:
    """May be away."""
    async with opened() as database:
        async with database.reading():
            await fail(database)
        assert database.troubles() == 1


@scenario
async def test_whoever_goes_away_in_a_statement(caplog: pytest.LogCaptureFixture) -> None:
    """Is gone at once, as one that was cancelled; the log says nothing, and the next one has a connection that works."""
    schema = unused_schema()
    active = f"SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600) AS {schema}'"

    async def sleep(database: Database) -> None:
        async with database.reading() as connection:
            await connection.execute(f"SELECT pg_sleep(600) AS {schema}".encode())

    async with opened(schema) as database:
        sleeping = asyncio.create_task(sleep(database))
        await until(lambda: shared_connection().execute(active.encode()).fetchone())
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        async with database.reading() as connection:
            await connection.execute("SELECT 1")
    assert [record.getMessage() for record in caplog.records if record.name == "psycopg"] == []


@pytest.mark.parametrize("turns", range(16))
@pytest.mark.parametrize("refused", [False, True], ids=["served", "refused"])
@scenario
async def test_whoever_goes_away_at_the_moment_of_the_answer(refused: bool, turns: int) -> None:
    """So many turns of the event loop after what ends the wait for a connection: nobody goes on who was to go away."""
    taken, done = asyncio.Event(), asyncio.Event()

    async def ask(database: Database) -> None:
        with contextlib.suppress(SpoolError):
            async with database.reading():
                pass
        await asyncio.sleep(PATIENCE / 10)

    async with opened() as database, asyncio.timeout(PATIENCE):
        first = asyncio.create_task(hold(database, taken, done))
        await taken.wait()
        asking = asyncio.create_task(ask(database))
        await until(lambda: waited_for(database))

        if refused:
            closing = asyncio.create_task(database.close())
        else:
            done.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])

        assert asking.cancelled()
        done.set()
        await first
        if refused:
            await closing
        else:
            # The connection is not lost.
            async with database.reading() as connection:
                await connection.execute("SELECT 1")


@scenario
async def test_closing_as_a_wake_up_is_served(tmp_path: Path) -> None:
    """Other nodes are to hear of new work, for which there is no connection until the moment in which the spool closes: that ends all the same."""
    async with opened() as database, asyncio.timeout(PATIENCE):
        spool = await PostgresSpool.open(
            database, data_dir=tmp_path, node="node", settings=SpoolSettings(), clock=SystemClock()
        )
        await spool.put([mail("a")])
        async with database.reading():
            await until(lambda: waited_for(database))
        await spool.close()


@scenario
async def test_a_transaction_that_others_are_in_the_way_of() -> None:
    """Is done again, and what the undone ones changed is told nobody."""
    told: list[Changes] = []
    tries = 0

    async def work(_connection: Connection, changes: Changes) -> int:
        nonlocal tries
        tries += 1
        changes.woken.add(f"try {tries}")
        if tries < 6:
            raise SpoolConflict("deadlock")
        return tries

    async with opened() as database:
        transactions = Transactions(database, load_statements("postgres"), committed=told.append, chance=lambda: 0.0)
        assert await transactions.change(work) == 6
    assert [changes.woken for changes in told] == [{"try 6"}]
