"""The file of a spool that a relay may be using at the same time, for another program.

In: a path. Out: connections. Never: a spool made, migrated or locked by a program that only looks at it or leaves something in it: that is
the relay's to do, as its own user. (SQLite gives the files that it makes beside the database to the database's owner.)
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.statements import load_migrations

_BUSY_MILLISECONDS = 5000
"""The relay commits in milliseconds; a backup may hold the file longer."""


class Beside:
    """Raises `SpoolError` where there is no spool yet, or it is of another version, or this user may not use it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Rows by name, of one moment."""
        with self._failing(), closing(self._open("ro")) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable at the end."""
        with self._failing(), closing(self._open("rw")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _open(self, mode: str) -> sqlite3.Connection:
        require_file(self._path)
        address = f"{self._path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
            self._check_version(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        newest = load_migrations("sqlite")[-1][0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version < newest:
            raise SpoolError(f"the spool {self._path} is of an older version: start the relay of this version first")
        if version > newest:
            raise SpoolError(f"the spool {self._path} was written by a newer qboxrelay: use that version")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            may = "unable to open" in str(error) or "readonly" in str(error)
            hint = f"; {_WHO}" if may else ""
            raise SpoolError(f"cannot use the spool {self._path}: {error}{hint}") from error


_WHO = "run this as the relay's user, or as root"


def require_file(path: Path) -> None:
    """Raises `SpoolError` where there is none."""
    try:
        exists = path.exists()
    except OSError as error:
        raise SpoolError(f"cannot look at the spool {path}: {error.strerror}; {_WHO}") from error
    if not exists:
        raise SpoolError(f"there is no spool at {path} yet: the relay makes it when it starts")
