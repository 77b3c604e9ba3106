"""The lock on a spool's directory.

In: a directory. Out: a held lock that ends with the process, however it dies. Never: a lock that a crash leaves behind.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

from qboxrelay.spool.port import SpoolError, SpoolLocked


class DirectoryLock:
    """`spool.lock` in the directory, held by flock(2); it names its holder."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Raises `SpoolLocked` with the holder's process id, `SpoolError` when the file cannot be used."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolError(f"cannot open {path}: {error.strerror}; the spool's directory must be writable") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise SpoolLocked(
                f"the spool in {path.parent} is in use by process {holder}: stop it first, or set another data_dir"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise SpoolError(f"cannot lock {path}: {error.strerror}; the spool needs a local file system") from error
        # The name of the holder is a courtesy; a full disk must not keep the relay from starting.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)
