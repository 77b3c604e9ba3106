"""One statement for many rows leaves none out and adds none."""

import sqlite3
from contextlib import closing

import pytest

from qboxrelay.spool.sqlite.many import Many, room_for

INSERT = "INSERT INTO pairs (key, text) SELECT * FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL"


@pytest.mark.parametrize("count", [0, 1, 2, 9, 11, 63, 64, 65, 200])
def test_every_row_once(count: int) -> None:
    """Places that are left over are no rows, and a NULL within a row is kept."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE pairs (key INTEGER, text TEXT)")
        rows = [(key, None if key % 3 else f"text {key}") for key in range(count)]
        Many(INSERT).execute(connection, rows)
        assert connection.execute("SELECT key, text FROM pairs ORDER BY rowid").fetchall() == rows


def test_few_texts_serve_all() -> None:
    """There is room for each number of rows, with at most a quarter left over."""
    rooms = {rows: room_for(rows) for rows in range(1, 65)}
    assert all(rows <= room <= rows * 1.25 for rows, room in rooms.items())
    assert len(set(rooms.values())) == 20
