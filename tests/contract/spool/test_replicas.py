"""A server whose commits wait for a replica: nothing is said to be stored before it is there, too."""

import asyncio
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolUnreachable
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.spool import PostgresSpool
from tests.contract.spool.harness import mail, scenario
from tests.support.postgres import Cluster, require_postgres, unused_schema

SHORT = timedelta(seconds=2)


@scenario
async def test_what_is_on_one_server_only_is_not_taken_for_stored(tmp_path: Path) -> None:
    """A commit that waited for a replica when the server crashed is there after its start, and on no other server."""
    require_postgres()
    server = await asyncio.to_thread(Cluster)
    try:
        database = await Database.open(server.url(), schema=unused_schema(), statement_timeout=SHORT)
        spool = await PostgresSpool.open(
            database,
            data_dir=tmp_path,
            node="node",
            settings=SpoolSettings(commit_timeout="2s"),
            clock=SystemClock(),
        )
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
            connection.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(1)
        with pytest.raises(SpoolUnreachable):
            await spool.put([mail("a")])
        await asyncio.to_thread(server.halt, "immediate")
        await asyncio.to_thread(server.start)
        with pytest.raises(SpoolUnreachable):
            await spool.put_again([mail("a")])
        assert [one.id for one in await spool.find("a")] == ["a-1"]
        await spool.close()
    finally:
        await asyncio.to_thread(server.stop)
