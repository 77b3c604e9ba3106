"""Opening the database file: pragmas, migrations, and the check that a commit will reach the disk.

In: a path. Out: connections that are set as durability needs. Never: a connection that commits with less than FULL.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from qboxrelay import failpoints
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.statements import load_migrations

T = TypeVar("T")

_PAGE_BYTES = 16384
"""Mails are several KB: with the default of 4096 most rows spill into overflow pages."""

_WAL_LIMIT_BYTES = 64_000_000
_CACHE_KIBIBYTES = 32_768
"""The upper pages of every index, also when a million submissions wait."""


def open_writer(path: Path, *, schema: int | None = None) -> sqlite3.Connection:
    """The one connection that writes; creates and migrates the database, to an older `schema` if so asked. Raises `SpoolError`."""
    _create(path)
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        _check_version(connection)
        # The first two count for a file that is still empty only.
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        # WAL with NORMAL may roll back a committed transaction after a power loss (sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        # Some systems compile another default in, ON: then every page that a payload leaves is written once more. Here deleted rows are
        # overwritten in pages that are written anyway.
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute("PRAGMA busy_timeout = 2000")
        connection.execute("PRAGMA temp_store = MEMORY")
        _require(connection, "journal_mode", "wal")
        _require(connection, "synchronous", 2)
        migrate(connection, schema=schema)
    except (sqlite3.Error, SpoolError) as error:
        if connection is not None:
            connection.close()
        raise error if isinstance(error, SpoolError) else SpoolError(f"cannot use the spool {path}: {error}") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for figures and pages."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA busy_timeout = 2000")
    connection.row_factory = sqlite3.Row
    return connection


def of_one_moment(work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    """Several statements that see the same: what gets its row between them would be seen twice, or not at all."""
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, *, schema: int | None = None) -> None:
    """Bring the schema to this version or to an older one, each step in a transaction of its own. Raises `SpoolError` for a newer schema."""
    version = _check_version(connection)
    for number, script in load_migrations("sqlite"):
        if version < number <= (schema or number):
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};")
            failpoints.reach("migration")
            connection.execute("COMMIT")


def free_pages(connection: sqlite3.Connection) -> int:
    """Pages of the file that hold nothing and are used before the file grows."""
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def reusable_bytes(connection: sqlite3.Connection) -> int:
    return free_pages(connection) * int(connection.execute("PRAGMA page_size").fetchone()[0])


def prepare_directory(directory: Path) -> None:
    """Make the directory when it is missing, readable by its owner only. Raises `SpoolError`."""
    try:
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.parent)
    except OSError as error:
        raise SpoolError(f"cannot make the directory {directory}: {error.strerror}") from error


def sync_directory(directory: Path) -> None:
    """A new file's name is safe only when its directory is, too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path) -> None:
    """SQLite would make the file readable by others, and gives its own files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_directory(path.parent)
    except OSError as error:
        raise SpoolError(f"cannot open {path}: {error.strerror}") from error


def _check_version(connection: sqlite3.Connection) -> int:
    """The file's schema. Refused before anything is written when it is newer than this program."""
    newest = load_migrations("sqlite")[-1][0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise SpoolError(
            f"the spool was written by a newer qboxrelay (schema {version}, this one knows {newest}): install that version again"
        )
    return version


def _require(connection: sqlite3.Connection, pragma: str, wanted: object) -> None:
    found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    if found != wanted:
        raise SpoolError(
            f"SQLite refused {pragma} = {wanted} (it says {found}): the file system cannot keep mail safely"
        )
