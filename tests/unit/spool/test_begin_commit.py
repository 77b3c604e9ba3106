"""The beginning and the end of a group's transaction."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from qboxrelay.spool.sqlite.transaction import begin, commit


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    one = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    one.execute("CREATE TABLE kept (word)")
    yield one
    one.close()


def _others_find(tmp_path: Path) -> list[str]:
    other = sqlite3.connect(tmp_path / "one.db")
    found = [word for (word,) in other.execute("SELECT word FROM kept")]
    other.close()
    return found


def test_what_stands_between_them_is_stored(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """Not before the commit."""
    begin(connection)
    connection.execute("INSERT INTO kept VALUES ('a')")
    assert _others_find(tmp_path) == []
    commit(connection)

    assert _others_find(tmp_path) == ["a"]


def test_beginning_takes_the_lock(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """At once, not with the first change: a group that cannot be written is refused before its work is done."""
    other = sqlite3.connect(tmp_path / "one.db", isolation_level=None, timeout=0)
    begin(connection)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        begin(other)
    commit(connection)
    other.close()


def test_a_transaction_that_is_open_is_not_committed_by_the_next(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """What could not be rolled back was refused to its callers."""
    begin(connection)
    connection.execute("INSERT INTO kept VALUES ('refused')")
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        begin(connection)
    connection.execute("ROLLBACK")

    assert _others_find(tmp_path) == []


def test_a_transaction_that_is_gone_is_not_called_committed(connection: sqlite3.Connection) -> None:
    """SQLite may roll back by itself, when a disk is full for one."""
    begin(connection)
    connection.execute("ROLLBACK")

    with pytest.raises(sqlite3.OperationalError, match="no transaction is active"):
        commit(connection)
