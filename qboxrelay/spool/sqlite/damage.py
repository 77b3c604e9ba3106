"""Whether a database file can be trusted.

In: the path of a spool. Out: what is wrong with it, or nothing. Never: a change of the file.
"""

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

_LOOKED_THROUGH_BYTES = 100_000_000
"""A larger file is looked through by its first readers only: a start must not take minutes."""
_PRIMARY = 0xFF
"""The lower byte of an extended result code (sqlite.org/rescode.html)."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the file itself is broken, not that it is busy, full or unreachable."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGED


def mark(path: Path, text: str) -> None:
    """Remember for the next start that the file is broken; a disk that refuses even that does not matter now."""
    with contextlib.suppress(OSError):
        descriptor = os.open(_marker(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")


def unmark(path: Path) -> None:
    _marker(path).unlink(missing_ok=True)


def damage_of(path: Path) -> str | None:
    """What is wrong with the file: as noted when it was met, or as SQLite says now. A file that is not there is not wrong."""
    marker = _marker(path)
    if marker.is_file():
        return marker.read_text("utf-8", "replace").strip() or "marked as damaged"
    if not path.exists() or path.stat().st_size == 0:
        # SQLite would delete that log, and whoever emptied or moved the file may want it.
        return "the file is empty or missing, and its log is not" if _has_log(path) else None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if path.stat().st_size > _LOOKED_THROUGH_BYTES:
                return None
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error) if is_damage(error) else None
    return None if found == "ok" else str(found)


def _has_log(path: Path) -> bool:
    log = Path(f"{path}-wal")
    return log.is_file() and log.stat().st_size > 0


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")
