"""Whether the files and folders that a configuration names can be used by this process.

In: settings, and the machine. Out: findings. Never: a change to the machine; looking must be harmless, because `check` runs beside a
running relay.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from qboxrelay.settings.draft import as_far_as_known
from qboxrelay.settings.finding import Finding, KeyPath
from qboxrelay.settings.keys import keys_of
from qboxrelay.settings.paths import spool_path
from qboxrelay.settings.schema import (
    AccountSettings,
    SenderDomainSettings,
    Settings,
    StatusSettings,
    UserSettings,
)
from qboxrelay.settings.types import Section


def place_findings(settings: Settings) -> Iterator[Finding]:
    """Everything that the relay could not open or make."""
    for rule in (_data_dir, _spool):
        yield from as_far_as_known(rule, settings)
    for name in keys_of(Settings):
        yield from as_far_as_known(partial(_files_of, name), settings)


def _data_dir(settings: Settings) -> Iterator[Finding]:
    yield from _folder(settings.relay.data_dir, ("relay", "data_dir"))


def _spool(settings: Settings) -> Iterator[Finding]:
    if not settings.spool.url.startswith("sqlite:"):
        return  # No file of this machine.
    file, path = spool_path(settings), ("spool", "url")
    if file.parent != settings.relay.data_dir:
        yield from _folder(file.parent, path)
    if os.path.lexists(file) and not (file.is_file() and os.access(file, os.R_OK | os.W_OK)):
        what = "is not writable for this user" if file.is_file() else "is not a file"
        yield Finding(path, f"{file} {what}", "name a file that belongs to the user of the relay")


def _folder(folder: Path, path: KeyPath) -> Iterator[Finding]:
    # Made at the start when it is missing: then the nearest folder that exists must let that happen.
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    if not nearest.is_dir():
        yield Finding(path, f"{nearest} is not a directory", "name another place")
    elif not os.statvfs(nearest).f_blocks:
        # Such as /proc, where root may write and nobody can make a file.
        yield Finding(path, f"{nearest} is on a file system without room for files", "name another place")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(path, f"{nearest} is not writable for this user", "give it to the user of the relay")


def _files_of(section: str, settings: Settings) -> Iterator[Finding]:
    yield from files_that_cannot_be_read(getattr(settings, section), (section,))


def files_that_cannot_be_read(value: object, path: KeyPath = ()) -> Iterator[Finding]:
    """Files that keys name, such as certificates. Those of tokens and passwords are read, so that more can be said about them."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from files_that_cannot_be_read(item, (*path, index))
    elif isinstance(value, Section):
        for name in keys_of(type(value)):
            if not _is_secret(value, name):
                yield from files_that_cannot_be_read(getattr(value, name), (*path, name))
    elif isinstance(value, Path) and str(path[-1]).endswith("_file"):
        yield from _unreadable(value, path)


def _is_secret(section: Section, name: str) -> bool:
    is_token = name == "token_file" and isinstance(section, AccountSettings | SenderDomainSettings | StatusSettings)
    return is_token or isinstance(section, UserSettings)


def _unreadable(file: Path, path: KeyPath) -> Iterator[Finding]:
    if not file.is_file():
        yield Finding(path, f"the file {file} {'is not a file' if file.exists() else 'does not exist'}", "name a file")
    elif not os.access(file, os.R_OK):
        yield Finding(
            path, f"the file {file} cannot be read", "let the user of the relay read it, or use LoadCredential="
        )
