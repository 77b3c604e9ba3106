"""A URL with several servers: who is away is passed over, and who worked last stays the first."""

import asyncio
from datetime import timedelta

import psycopg

from qboxrelay.spool.postgres.database import Database
from tests.contract.spool.harness import scenario
from tests.contract.spool.way import until_it_works
from tests.support.postgres import require_postgres, shared_cluster, unused_schema
from tests.support.processes import HOST
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

_PATIENCE = 120


async def at(database: Database) -> tuple[int, int]:
    """The port of the connection that is given, and its process at the server, which tells it from others."""
    async with database.reading() as connection:
        await connection.execute("SELECT 1")
        return connection.info.port, connection.info.backend_pid


async def at_next(database: Database, before: int) -> int:
    """The port of a connection that is made after another one ended."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            port, process = await until_it_works(lambda: at(database))
            if process != before:
                return port


async def end(process: int) -> None:
    """This connection alone: cutting the way would also cut one that is being made, which then rightly tries the other server."""
    async with await psycopg.AsyncConnection.connect(shared_cluster().url(), autocommit=True) as beside:
        await beside.execute("SELECT pg_terminate_backend(%s)", (process,))


async def opened(*ways: TcpProxy, seconds: float) -> Database:
    hosts = ",".join(f"{HOST}:{way.port}" for way in ways)
    timeout = timedelta(seconds=seconds)
    schema = unused_schema()

    async def open_() -> Database:
        return await Database.open(f"postgresql://relay@{hosts}/postgres", schema=schema, connect_timeout=timeout)

    return await until_it_works(open_)


@scenario
async def test_one_that_comes_back_is_not_gone_back_to() -> None:
    """It may be the old primary, which does not know that another one was promoted."""
    require_postgres()
    port = shared_cluster().port
    with tcp_proxy(port) as first, tcp_proxy(port) as second:
        first.refuse()
        database = await opened(first, second, seconds=30)
        try:
            port_before, process = await until_it_works(lambda: at(database))
            assert port_before == second.port
            first.heal()
            await end(process)
            async with await database.listening() as beside:
                assert beside.info.port == second.port
            assert await at_next(database, process) == second.port

            _, process = await until_it_works(lambda: at(database))
            second.refuse()
            assert await at_next(database, process) == first.port
        finally:
            await database.close()


@scenario
async def test_one_that_keeps_silent_is_passed_over() -> None:
    """A machine that is gone answers nothing: the others have their time, too."""
    require_postgres()
    port = shared_cluster().port
    with tcp_proxy(port) as silent, tcp_proxy(port) as other:
        silent.swallow()
        database = await opened(silent, other, seconds=2)
        try:
            found, _ = await until_it_works(lambda: at(database))
            assert found == other.port
        finally:
            await database.close()


@scenario
async def test_the_one_that_worked_keeps_silent() -> None:
    """The next one is found, and is the first from then on."""
    require_postgres()
    port = shared_cluster().port
    with tcp_proxy(port) as first, tcp_proxy(port) as second:
        database = await opened(first, second, seconds=2)
        try:
            found, process = await until_it_works(lambda: at(database))
            assert found == first.port
            first.swallow()
            first.reset()
            assert await at_next(database, process) == second.port
            async with await database.listening() as beside:
                assert beside.info.port == second.port
        finally:
            first.heal()
            await database.close()
