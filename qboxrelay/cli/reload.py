"""`qboxrelay reload`: have the running relay read its configuration again, and say what came of it.

In: the configuration, for where the spool is. Out: SIGHUP to the process that holds the spool, its answer. Never: a judgement of its own: the
relay may see other variables and credentials than this process does.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.manager.reload_record import ReloadRecord

_LOOK_EVERY_SECONDS = 0.05
_ELSEWHERE = "the relay runs in another container, where process numbers are others: send it SIGHUP there (docker kill -s HUP NAME)"


def reload(
    config: Path = CONFIG,
    timeout: float = typer.Option(60.0, min=1, help="Longest wait for the relay's answer, in seconds."),
) -> None:
    """Have the running relay read its configuration again, without a restart: no session ends, no mail is lost.

    A configuration that cannot be used changes nothing, and is explained as by `check`. What only a restart can change is named.

    Exit status 0 when the configuration is in force, 1 otherwise.
    """
    raise typer.Exit(_reload(config, timeout))


def _reload(config: Path, timeout: float) -> int:
    from qboxrelay.cli.daemon import fail

    folder = _spool_folder(config, os.environ)
    if folder is None:
        return 1
    try:
        record = _ask(folder, timeout)
    except PermissionError as error:
        return fail(f"{error.filename or 'the relay'}: {error.strerror}: run this as root or as the user of the relay")
    if isinstance(record, str):
        return fail(record)
    if record.done:
        print("\n".join(["Reloaded.", *record.lines]))
        return 0
    for line in record.lines:
        fail(line)
    return fail("not reloaded; nothing has changed")


def _ask(folder: Path, timeout: float) -> "ReloadRecord | str":
    """What came of it, or a sentence that says why nobody answers. Raises PermissionError."""
    from qboxrelay.manager.reload_record import FILE_NAME, read_record

    lock = folder / "spool.lock"
    holder = holder_of(lock)
    if holder is None:
        return f"no relay runs on the spool in {folder}: start one; if data_dir or [spool] url has just changed, restart the old one"
    if _is_elsewhere(holder, lock) and holder_of(lock) == holder:
        return _ELSEWHERE
    asked = time.monotonic_ns()
    os.kill(holder, signal.SIGHUP)
    while time.monotonic_ns() - asked < timeout * 1e9:
        record = read_record(folder / FILE_NAME)
        if record is not None and record.began_ns >= asked:
            return record
        if holder_of(lock) is None:
            return f"process {holder} has ended: its log may say why"
        time.sleep(_LOOK_EVERY_SECONDS)
    return f"process {holder} has not answered within {timeout:g} seconds: its log may say more"


def _spool_folder(config: Path, environ: Mapping[str, str]) -> Path | None:
    """Where the spool is, as far as that can be read; None after the problems were printed."""
    from qboxrelay.cli.daemon import fail
    from qboxrelay.settings.draft import LeftOut, draft_of
    from qboxrelay.settings.paths import relay_folder
    from qboxrelay.settings.problem import SettingsError
    from qboxrelay.settings.schema import Settings
    from qboxrelay.settings.source import read

    try:
        draft = draft_of(read(config, environ, Settings))
        try:
            return relay_folder(draft.settings)
        except LeftOut:
            raise SettingsError(draft.problems) from None
    except SettingsError as error:
        for problem in error.problems:
            fail(str(problem))
        fail("the relay was not asked; nothing has changed")
        return None


def holder_of(lock: Path) -> int | None:
    """The process that holds the spool; None when nobody does. Raises PermissionError."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who look at the same moment do not take each other for a relay.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        return int(holder) if holder.isdecimal() else None
    finally:
        os.close(descriptor)
    return None


def _is_elsewhere(process: int, lock: Path) -> bool:
    """Whether the process of that number is seen to be another than the one that holds the file: the number was written in a container."""
    try:
        wanted, descriptors = lock.stat(), list(Path(f"/proc/{process}/fd").iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return not any(_is_same(one, wanted) for one in descriptors)


def _is_same(descriptor: Path, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(descriptor.stat(), wanted)
    return False
