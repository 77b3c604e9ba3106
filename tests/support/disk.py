"""A disk of a test's own that can be filled.

In: a place and a size. Out: a mounted file system, and files that eat its space. Never: the machine's own disk filled.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    """A file system of the size, such as `32m`, in memory; the test is skipped where it cannot be mounted."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def eat(place: Path, *, leave: int = 0) -> Path:
    """A file that takes all space but so many bytes."""
    food = place / "food"
    with food.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while leave == 0 or shutil.disk_usage(place).free > leave:
            file.write(bytes(4096 if leave == 0 else 65536))
    return food
