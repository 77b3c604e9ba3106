"""A new file in the place of a damaged one, from wherever an earlier try was cut off.

In: the path of a database and a whole copy beside it. Out: the copy under the database's name, the old files under names of their own.
Never: an old file deleted or written over, or the new database read together with the old one's log.
"""

import contextlib
import os
from pathlib import Path

from qboxrelay.spool.sqlite.database import sync_directory

_SUFFIXES = ("-wal", "")
"""The log goes first: the new file must never be read together with the old one's."""


def beside(path: Path, word: str) -> Path:
    return path.with_name(f"{path.name}.{word}")


def copy_of(path: Path) -> Path:
    """Where the new file is made."""
    return beside(path, "rescued")


def forget_copy(path: Path) -> None:
    """What an earlier try left half done."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{copy_of(path)}{suffix}").unlink(missing_ok=True)


def unused_name(path: Path, stamp: str) -> Path:
    """Where the damaged file is kept: a clock that was set back must not cost an older one."""
    name, number = beside(path, f"damaged-{stamp}"), 1
    while any(os.path.lexists(f"{name}{suffix}") for suffix in _SUFFIXES):
        number += 1
        name = beside(path, f"damaged-{stamp}-{number}")
    return name


def plan(path: Path, saved: Path) -> None:
    """From here on every start goes on with the exchange until it is done."""
    new = beside(path, "exchange.new")
    write_private(new, saved.name)
    new.replace(_plan(path))
    sync_directory(path.parent)


def finish(path: Path) -> bool:
    """Exchange the files as planned; whether there was anything to do."""
    saved = _planned(path)
    if saved is None:
        return False
    copy = copy_of(path)
    if copy.exists():
        for suffix in _SUFFIXES:
            _put_aside(Path(f"{path}{suffix}"), Path(f"{saved}{suffix}"))
        Path(f"{path}-shm").unlink(missing_ok=True)
        # The old one's names are gone for good before the new one takes them.
        sync_directory(path.parent)
        copy.rename(path)
        sync_directory(path.parent)
    return True


def conclude(path: Path) -> None:
    """The last step: nothing is planned any more."""
    _plan(path).unlink(missing_ok=True)
    sync_directory(path.parent)


def write_private(path: Path, text: str) -> None:
    """On the disk, for its owner only. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _planned(path: Path) -> Path | None:
    """The name under which the old file is to be kept; None as well for a plan that says nothing, because nothing was done by it yet."""
    with contextlib.suppress(FileNotFoundError):
        name = _plan(path).read_text("utf-8", "replace").strip()
        if name.startswith(f"{path.name}.damaged-") and "/" not in name:
            return path.with_name(name)
        _plan(path).unlink()
    return None


def _put_aside(old: Path, kept: Path) -> None:
    """Somebody who looked at the file in the meantime may have left a log anew."""
    number = 1
    name = kept
    while old.exists() and os.path.lexists(name):
        number += 1
        name = kept.with_name(f"{kept.name}.{number}")
    if old.exists():
        old.rename(name)


def _plan(path: Path) -> Path:
    return beside(path, "exchange")
