"""From a path to a database that can be trusted: lock, rescue where it is damaged, open, migrate.

In: a path. Out: the lock and two connections, and what was rescued. Never: a file opened without the lock.
"""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.sqlite.damage import damage_of
from qboxrelay.spool.sqlite.database import open_reader, open_writer, prepare_directory
from qboxrelay.spool.sqlite.lock import DirectoryLock
from qboxrelay.spool.sqlite.rescue import Rescued, finish, rescue


@dataclass(frozen=True, slots=True)
class Opened:
    """What a spool works with; `rescued` when a damaged file was replaced."""

    lock: DirectoryLock
    writer: sqlite3.Connection
    reader: sqlite3.Connection
    rescued: Rescued | None

    def close(self) -> None:
        """The lock last."""
        self.reader.close()
        self.writer.close()
        self.lock.release()


def open_files(path: Path, *, stamp: str) -> Opened:
    """Blocks. `stamp` tells saved files apart. Raises `SpoolLocked`, `SpoolError`."""
    prepare_directory(path.parent)
    lock = DirectoryLock.acquire(path.parent / "spool.lock")
    try:
        rescued = _made_whole(path, stamp)
        return Opened(lock, open_writer(path), open_reader(path), rescued)
    except BaseException:
        lock.release()
        raise


def _made_whole(path: Path, stamp: str) -> Rescued | None:
    if os.path.lexists(path) and not path.is_file():
        # A pipe would keep the start waiting for ever.
        raise SpoolError(f"cannot use the spool {path}: it is no regular file; move it away, or set another data_dir")
    try:
        finish(path)
        reason = damage_of(path)
        return rescue(path, reason, stamp=stamp) if reason is not None else None
    except (sqlite3.Error, SpoolError, OSError) as error:
        raise SpoolError(
            f"the spool {path} is damaged and could not be rescued: {error}; nothing of it was changed, and the next start tries again"
            " (the copy needs as much room on the disk as the file)"
        ) from error
