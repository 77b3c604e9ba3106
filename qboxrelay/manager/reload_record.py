"""What came of the latest reload, for `qboxrelay reload`, which is another process.

In: an outcome. Out: a small file beside the spool, replaced as a whole. Never: an exception into the relay because it cannot be written.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "reload.json"


@dataclass(frozen=True, slots=True)
class ReloadRecord:
    """`began_ns` is CLOCK_MONOTONIC, which all processes of a machine share: a reload that began later than somebody asked is an answer."""

    began_ns: int
    done: bool
    lines: tuple[str, ...]
    """For people."""


def write_record(path: Path, record: ReloadRecord) -> None:
    """Replace the file; a disk that is full leaves the old one."""
    new = path.with_suffix(".new")
    with contextlib.suppress(OSError):
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(record), file)
        new.replace(path)


def read_record(path: Path) -> ReloadRecord | None:
    """The latest; None when there is none that can be read. Raises PermissionError."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return ReloadRecord(int(found["began_ns"]), bool(found["done"]), tuple(map(str, found["lines"])))
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None
