"""A PostgreSQL server that stops, hangs, only reads or is of another version: an answer in bounded time, and no harm."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.connecting import access
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.opening import Looked, look
from qboxrelay.spool.postgres.spool import PostgresSpool
from tests.contract.spool.harness import claim, mail, names, scenario
from tests.support.postgres import Cluster, require_postgres, unused_schema

SECOND = timedelta(seconds=1)
PATIENCE = 60


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    require_postgres()
    cluster = Cluster()
    yield cluster
    cluster.stop()


async def opened(server: Cluster, folder: Path, schema: str) -> PostgresSpool:
    """With short patience."""
    database = await Database.open(server.url(), schema=schema, connect_timeout=SECOND, statement_timeout=SECOND)
    return await PostgresSpool.open(
        database, data_dir=folder, node="node", settings=SpoolSettings(), clock=SystemClock()
    )


async def stored(spool: PostgresSpool, name: str) -> None:
    """As a client would: again and again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await spool.put([mail(name)])
            except SpoolError:
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.parametrize("mode", ["fast", "immediate"])
@scenario
async def test_a_server_that_restarts_is_found_again(server: Cluster, tmp_path: Path, mode: str) -> None:
    """While it is away mail is refused for now; what was taken before is there, and nothing has to be restarted here."""
    spool = await opened(server, tmp_path, unused_schema())
    await spool.put([mail("before")])
    await asyncio.to_thread(server.halt, mode)
    with pytest.raises(SpoolError, match="database"):
        await spool.put([mail("meanwhile")])
    with pytest.raises(SpoolError):
        await spool.next_due_at("default")
    await asyncio.to_thread(server.start)
    await stored(spool, "after")
    found = names(await claim(spool))
    await spool.close()
    assert found == ["before", "after"]


@scenario
async def test_waits_survive_a_restart_of_the_server(server: Cluster, tmp_path: Path) -> None:
    """Who waits for work is woken by mail that comes later."""
    spool = await opened(server, tmp_path, unused_schema())
    assert await claim(spool) == []
    waiting = asyncio.create_task(spool.wait_for_work("default"))
    await asyncio.sleep(0)
    await asyncio.to_thread(server.halt)
    await asyncio.to_thread(server.start)
    await stored(spool, "a")
    async with asyncio.timeout(PATIENCE):
        await waiting
    assert names(await claim(spool)) == ["a"]
    await spool.close()


@scenario
async def test_a_server_that_hangs_is_not_waited_for_without_end(server: Cluster, tmp_path: Path) -> None:
    """Every process of it stands still, connections stay open: calls fail, closing ends, and nothing was stored twice."""
    schema = unused_schema()
    spool = await opened(server, tmp_path, schema)
    await spool.put([mail("before")])
    server.freeze()
    try:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(SpoolError):
                await spool.put([mail("a")])
            with pytest.raises(SpoolError):
                await spool.claim("default", max_messages=1, max_bytes=1000, lease=SECOND)
    finally:
        server.thaw()
    await stored(spool, "b")
    assert names(await claim(spool))[0] == "before"
    await spool.close()


@scenario
async def test_a_server_that_only_reads_is_a_passing_trouble(server: Cluster, tmp_path: Path) -> None:
    """As after a failover that went to the wrong one."""
    spool = await opened(server, tmp_path, unused_schema())

    def only_reads(value: str) -> None:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")

    only_reads("on")
    refused = False
    async with asyncio.timeout(PATIENCE):
        while not refused:
            try:
                await spool.put([mail("a"), mail("a")])
            except SpoolError as error:
                # Until every process of the server has read its configuration again, the fault of the mail itself is told.
                refused = "only reads" in str(error) or "read-only" in str(error)
    only_reads("off")
    await stored(spool, "b")
    assert names(await claim(spool)) == ["b"]
    await spool.close()


@scenario
async def test_versions_are_told_apart(server: Cluster) -> None:
    """A command makes nothing; a relay refuses what a newer one made."""
    schema, url = unused_schema(), server.url()
    with pytest.raises(SpoolError, match="no spool in the schema"):
        await Database.open(url, schema=schema, make=False)
    assert (await _looked(url, schema)).schema_version == 0
    await (await Database.open(url, schema=schema)).close()
    await (await Database.open(url, schema=schema, make=False)).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO {schema}.schema_version (version) VALUES (99)".encode())
        with pytest.raises(SpoolError, match="newer"):
            await Database.open(url, schema=schema)
        with pytest.raises(SpoolError, match="newer"):
            await Database.open(url, schema=schema, make=False)
        connection.execute(f"DELETE FROM {schema}.schema_version WHERE version > 0".encode())
        connection.execute(f"INSERT INTO {schema}.schema_version (version) VALUES (0)".encode())
    with pytest.raises(SpoolError, match="no spool in the schema"):
        await Database.open(url, schema=schema, make=False)


@scenario
async def test_relays_that_start_together_make_one_spool(server: Cluster) -> None:
    schema = unused_schema()
    made = await asyncio.gather(*[Database.open(server.url(), schema=schema) for _ in range(5)])
    for database in made:
        await database.close()
    with psycopg.connect(server.url()) as connection:
        rows = connection.execute(f"SELECT count(*) FROM {schema}.schema_version".encode()).fetchall()
    assert rows == [(1,)]


@scenario
async def test_a_look_says_how_safe_commits_are(server: Cluster) -> None:
    """The session's synchronous_commit is on, whatever the server's default; what cannot be set from here is named."""
    schema = unused_schema()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER ROLE relay SET synchronous_commit = off")
    try:
        looked = await _looked(server.url(), schema)
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("ALTER ROLE relay RESET synchronous_commit")
    assert looked.state.synchronous_commit == "on"
    assert set(looked.state.unsafe) == {"fsync", "full_page_writes"}


async def _looked(url: str, schema: str) -> Looked:
    return await look(
        access(url, schema=schema, password=None, connect_timeout=5 * SECOND, statement_timeout=5 * SECOND)
    )
