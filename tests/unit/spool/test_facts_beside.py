"""Facts of a spool that a relay may be using, from another process."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.sqlite.facts import FactsBeside
from tests.contract.spool.harness import SqliteSpools, scenario


@scenario
async def test_a_running_spool_sees_what_another_process_left(tmp_path: Path) -> None:
    """Both directions, while the relay holds its lock."""
    spools = SqliteSpools(tmp_path)
    beside = FactsBeside(spools.path)
    async with spools.open() as spool:
        await spool.remember("domains", b"from the relay")
        seen = await beside.recall("domains")
        assert seen is not None
        assert seen.value == b"from the relay"
        await beside.remember("domains", b"from beside")
        fact = await spool.recall("domains", after=seen.version)
        assert fact is not None
        assert fact.value == b"from beside"
    kept = await beside.recall("domains")
    assert kept is not None
    assert kept.value == b"from beside"


@scenario
async def test_no_spool_is_made(tmp_path: Path) -> None:
    """A spool made by whoever runs the command could not be opened by the relay's own user."""
    beside = FactsBeside(tmp_path / "spool.db")
    with pytest.raises(SpoolError, match="no spool"):
        await beside.remember("domains", b"x")
    with pytest.raises(SpoolError, match="no spool"):
        await beside.recall("domains")
    assert names_in(tmp_path) == []


@scenario
async def test_an_older_spool_is_left_to_the_relay(tmp_path: Path) -> None:
    """Nothing is migrated under a relay that runs."""
    path = tmp_path / "spool.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE submissions (key INTEGER)")
    with pytest.raises(SpoolError, match="older version"):
        await FactsBeside(path).recall("domains")


@scenario
async def test_what_is_no_spool_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(SpoolError, match="cannot use"):
        await FactsBeside(path).remember("domains", b"x")


def names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]
