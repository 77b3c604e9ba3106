"""Loading a configuration: a TOML file, with keys of tables from the environment laid over it.

In: a path and variables. Out: the frozen `Settings`. Never: half a configuration; `SettingsError` carries every problem at
once. What only several keys together or the machine can say is for `verify`.
"""

from collections.abc import Mapping
from pathlib import Path

from qboxrelay.settings.draft import draft_of
from qboxrelay.settings.problem import Problem, SettingsError
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.source import read

__all__ = ["Problem", "SettingsError", "load"]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a file (None: all defaults) and the environment. Raises `SettingsError`."""
    draft = draft_of(read(path, environ, Settings))
    if draft.problems:
        raise SettingsError(draft.problems)
    return draft.settings
