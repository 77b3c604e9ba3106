"""SQL as text in files, each statement under its name.

In: a folder of `sql/`. Out: statements by name, migrations in order. Never: SQL put together from values.
"""

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import TypeVar

T = TypeVar("T")

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_MIGRATION = re.compile(r"\d{4}_\w+\.sql")
_ROW = re.compile(r"VALUES (\([^()]*\))")


def load_statements(backend: str) -> dict[str, str]:
    """Every `-- name --` of the backend's files, but for its migrations, without its comments' names."""
    found: dict[str, str] = {}
    for entry in (files("qboxrelay.spool") / "sql" / backend).iterdir():
        if entry.name.endswith(".sql") and not _MIGRATION.fullmatch(entry.name):
            parts = _NAME.split(entry.read_text("utf-8"))
            found |= {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def load_migrations(backend: str) -> list[tuple[int, str]]:
    """The backend's migrations as (version, script), oldest first."""
    folder = files("qboxrelay.spool") / "sql" / backend
    found = [(entry.name, entry) for entry in folder.iterdir() if _MIGRATION.fullmatch(entry.name)]
    return [(int(name[:4]), entry.read_text("utf-8")) for name, entry in sorted(found, key=lambda pair: pair[0])]


ROWS_AT_ONCE = (64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement. Every statement gives up Python's lock and must get it back from a busy event loop."""


def for_rows(statement: str, rows: int) -> str:
    """The statement with one row of placeholders behind VALUES, for so many rows."""
    return _ROW.sub(lambda row: f"VALUES {', '.join([row[1]] * rows)}", statement)


def by_rows(statement: str) -> dict[int, str]:
    """The statement for each number of rows that `in_parts` yields."""
    return {rows: for_rows(statement, rows) for rows in ROWS_AT_ONCE}


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """All items, in order, in parts of `ROWS_AT_ONCE`."""
    start = 0
    for size in ROWS_AT_ONCE:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size
