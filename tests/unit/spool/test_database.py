"""The file: durable by its settings, private, refused rather than harmed."""

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.sqlite.database import open_reader, open_writer
from qboxrelay.spool.sqlite.spool import SqliteSpool
from qboxrelay.spool.statements import load_migrations
from tests.contract.spool.harness import ManualClock, SqliteSpools, claim, mail, names, scenario


def test_the_connection_that_writes_commits_durably(tmp_path: Path) -> None:
    """WAL with less than FULL may lose a committed transaction with the power."""
    with closing(open_writer(tmp_path / "spool.db")) as connection:
        pragmas = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "auto_vacuum", "page_size")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2, "page_size": 16384}


def test_the_connection_for_pages_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with (
        closing(open_writer(path)),
        closing(open_reader(path)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM submissions")


@scenario
async def test_mail_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """Directory, database, log and lock."""
    spools = SqliteSpools(tmp_path / "data" / "spool")
    async with spools.open() as spool:
        await spool.put([mail("a")])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in spools.path.parent.iterdir()}
        assert modes == dict.fromkeys(("spool.db", "spool.db-shm", "spool.db-wal", "spool.lock"), 0o600)
        assert stat.S_IMODE(spools.path.parent.stat().st_mode) == 0o700


@scenario
async def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """A downgrade must not guess."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a")])
    _set_version(spools.path, 99)
    before = spools.path.read_bytes()
    for _ in range(2):
        with pytest.raises(SpoolError, match="newer qboxrelay"):
            async with spools.open():
                pass
    assert spools.path.read_bytes() == before
    _set_version(spools.path, load_migrations("sqlite")[-1][0])
    async with spools.open() as spool:
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_a_file_that_is_no_spool_is_kept_beside_a_new_one(tmp_path: Path) -> None:
    """Damage must not keep mail from being taken; the file stays, byte by byte, for a person to look at."""
    spools = SqliteSpools(tmp_path)
    spools.path.write_bytes(b"not a database" * 1000)
    async with spools.open() as spool:
        await spool.put([mail("a")])
        assert names(await claim(spool)) == ["a"]
    assert _kept_aside(tmp_path) == [b"not a database" * 1000]


@pytest.mark.parametrize("place", ["file/spool.db", "file/deeper/spool.db", "folder"])
@scenario
async def test_a_place_that_cannot_hold_a_spool_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    spools = SqliteSpools(tmp_path)
    spools.path = tmp_path / place
    with pytest.raises(SpoolError, match="cannot"):
        async with spools.open():
            pass


@scenario
async def test_a_file_that_another_program_holds_refuses_and_recovers(tmp_path: Path) -> None:
    """A backup that locks too long costs each group one wait, not one a session."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        with closing(sqlite3.connect(spools.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            puts = [spool.put([mail(str(number))]) for number in range(40)]
            results = await asyncio.gather(*puts, return_exceptions=True)
            assert all("locked" in str(result) for result in results)
        await spool.put([mail("a")])
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_mails_of_one_turn_of_the_event_loop_are_one_commit(tmp_path: Path) -> None:
    """Were the first of them handed over alone, all others would wait for its commit."""
    groups: list[int] = []
    spool = await SqliteSpool.open(
        tmp_path / "spool.db",
        settings=SpoolSettings(),
        clock=ManualClock(),
        on_commit=lambda group, _seconds: groups.append(group),
    )
    try:
        groups.clear()
        await asyncio.gather(*(spool.put([mail(str(number))]) for number in range(300)))
        assert groups == [256, 44], "as many as the first of them may wait for"
    finally:
        await spool.close()


def _set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


def _kept_aside(place: Path) -> list[bytes]:
    return [file.read_bytes() for file in place.glob("**/spool.db.damaged-*")]
