"""Rows out of a database that is broken in places.

In: a connection to it. Out: its readable rows that make sense, and None for each that does not. Never: an endless walk, or a fault of the
machine (no memory, no space, no descriptor) taken for a fault of the file.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from qboxrelay.model.submission import State

Row = tuple[Any, ...]

BY_KEY = ("submissions", "payloads", "requests", "acts")
"""Tables that are read from one key to the next, so that an unreadable page costs its own rows only."""
WHOLE = ("attempts", "facts", "pauses")
"""Tables that are read until something is unreadable."""
_STATES = {state.value for state in State}
_GREATEST_KEY = 2**53
"""No relay comes that far; SQLite chooses keys at random when the greatest possible one is taken."""
_ONE_BY_ONE = 100_000
"""After so many unreadable keys in a row the steps grow: a broken page may claim any greatest key."""
_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "TEXT": (str,), "BLOB": (bytes,), "REAL": (float, int)}
_UNREADABLE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_ERROR,  # a table that the damaged schema does not name
    sqlite3.SQLITE_MISMATCH,
}
_UNREADABLE_EXTENDED = {
    sqlite3.SQLITE_IOERR_READ,  # a sector that the disk cannot read
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}


def open_source(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    # A value that is no text any more must not stop the others.
    connection.text_factory = lambda octets: octets.decode("utf-8", "replace")
    return connection


def schema_of(source: sqlite3.Connection) -> int:
    """The version it says it has; 0 when even that cannot be read."""
    try:
        return int(source.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        _only_damage(error)
        return 0


def columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Names with their declared types. Empty when there is no such table."""
    try:
        return {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({table})")}
    except sqlite3.Error as error:
        _only_damage(error)
        return {}


def rows(source: sqlite3.Connection, table: str, named: dict[str, str]) -> Iterator[Row | None]:
    """In the order of these columns."""
    select = f"SELECT {', '.join(named)} FROM {table}"  # noqa: S608 - names of our own schema
    for row in _by_key(source, table, select) if table in BY_KEY else _whole(source, select):
        yield row if row is not None and _sensible(table, dict(zip(named, row, strict=True)), named) else None


def sequences(source: sqlite3.Connection) -> dict[str, int]:
    """The greatest keys ever given, by table."""
    found: dict[str, int] = {}
    for row in _whole(source, "SELECT name, seq FROM sqlite_sequence"):
        if row is not None and isinstance(row[1], int) and 0 < row[1] < _GREATEST_KEY:
            found[str(row[0])] = row[1]
    return found


def line_of(source: sqlite3.Connection) -> int | None:
    """How far the line goes (see `fresh.py`), where that can be read."""
    for row in _whole(source, "SELECT key FROM lined_up WHERE id = 1"):
        if row is not None and isinstance(row[0], int) and 0 <= row[0] < _GREATEST_KEY:
            return row[0]
    return None


def _by_key(source: sqlite3.Connection, table: str, select: str) -> Iterator[Row | None]:
    """Every row in the order of keys; None for a key that is there and cannot be read."""
    key, last = _ends(source, table)
    missed = 0
    while key <= last:
        try:
            for found, *row in source.execute(
                f"{select.replace('SELECT ', 'SELECT key, ', 1)} WHERE key >= ? ORDER BY key", (key,)
            ):
                yield tuple(row)
                # In a broken tree keys may come again, or in any order: never go back.
                key, missed = max(key, found + 1), 0
        except sqlite3.Error as error:
            _only_damage(error)
            yield None
            missed += 1
            key += 1 if missed <= _ONE_BY_ONE else 2 ** min(missed - _ONE_BY_ONE, 60)
        else:
            return


def _ends(source: sqlite3.Connection, table: str) -> tuple[int, int]:
    """The least and the greatest key that may be there; content and its submission share theirs."""
    ends: list[int] = []
    for name in {table, "payloads", "submissions"} if table in {"submissions", "payloads"} else {table}:
        for end in ("min", "max"):
            for row in _whole(source, f"SELECT {end}(key) FROM {name}"):  # noqa: S608 - as above
                ends += [row[0]] if row is not None and isinstance(row[0], int) else []
    return (min(ends), max(ends)) if ends else (1, 0)


def _whole(source: sqlite3.Connection, select: str) -> Iterator[Row | None]:
    try:
        yield from source.execute(select)
    except sqlite3.Error as error:
        _only_damage(error)
        yield None


def _sensible(table: str, row: dict[str, Any], types: dict[str, str]) -> bool:
    """A page may be readable and hold nonsense: what would be sent must at least be what the relay writes."""
    for name, value in row.items():
        if value is not None and not isinstance(value, _TYPES.get(types[name], (object,))):
            return False
    if "key" in row and not 0 < row["key"] < _GREATEST_KEY:
        return False
    try:
        if table == "payloads":
            # What was sent has no content any more, and its original where that is kept.
            return row["payload"] == b"" or isinstance(orjson.loads(row["payload"]), dict)
        if table == "submissions":
            # With another mark it would wait for ever.
            return (
                row["ready"] in (0, 1) and row["state"] in _STATES and isinstance(orjson.loads(row["recipients"]), list)
            )
    except (ValueError, TypeError):
        return False
    return True


def _only_damage(error: sqlite3.Error) -> None:
    """Raise what is no fault of the file's."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code not in _UNREADABLE_EXTENDED and code & 0xFF not in _UNREADABLE:
        raise error
