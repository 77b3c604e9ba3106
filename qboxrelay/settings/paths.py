"""Where the files are that a configuration names.

In: paths as they were written. Out: absolute paths, so that nobody behind the loader needs to know where the configuration
stands. Never: a file's content.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qboxrelay.settings.schema import Settings


def located(file: Path, environ: Mapping[str, str], folder: Path) -> Path:
    """The file that is meant: a bare name is a systemd credential if there is one of it, else relative to the configuration's folder."""
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    if credentials and len(file.parts) == 1 and (Path(credentials) / file).exists():
        return Path(credentials) / file
    return folder / file


def absolute(data: Any, environ: Mapping[str, str], folder: Path) -> Any:
    """The values of a configuration with every `*_file` and `*_dir` in its place."""
    if isinstance(data, list):
        return [absolute(item, environ, folder) for item in data]
    if not isinstance(data, dict):
        return data
    return {name: _absolute(name, value, environ, folder) for name, value in data.items()}


def _absolute(name: str, value: Any, environ: Mapping[str, str], folder: Path) -> Any:
    if not isinstance(value, str) or not value:
        return absolute(value, environ, folder)
    if name.endswith("_file"):
        return str(located(Path(value), environ, folder))
    return str(folder / value) if name.endswith("_dir") else value


def relay_folder(settings: Settings) -> Path:
    """Where a running relay shows itself to this machine's other programs: its lock and what came of a reload."""
    return settings.relay.data_dir if is_postgres(settings) else spool_path(settings).parent


def is_postgres(settings: Settings) -> bool:
    """Whether the spool is on a server, and not a file of this machine."""
    return settings.spool.url.startswith(("postgresql:", "postgres:"))


def spool_path(settings: Settings) -> Path:
    """The file behind `[spool] url`: `sqlite:` is `spool.db` in the data directory."""
    rest = settings.spool.url.removeprefix("sqlite:")
    return Path(rest.removeprefix("//")) if rest else settings.relay.data_dir / "spool.db"
