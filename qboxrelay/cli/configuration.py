"""Loading a configuration for a command: all problems on standard error at once, or settings with their tokens.

In: a path and the environment. Out: `Loaded`, or None after the problems were printed. Never: a secret in what is printed.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qboxrelay.qboxmail.token import TokenSource
    from qboxrelay.settings.schema import Settings
    from qboxrelay.settings.secrets import TokenLocation
    from qboxrelay.settings.user_secrets import UserSecrets


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can run. `warnings` are sentences for people."""

    settings: "Settings"
    tokens: "Mapping[str, TokenSource]"
    users: "Mapping[str, UserSecrets]"
    warnings: tuple[str, ...]
    management_token: "TokenSource | None" = None
    """Of the Management API; None when it is not asked for sender domains."""


def load_or_explain(path: Path, environ: Mapping[str, str]) -> Loaded | None:
    """Load, verify, find the tokens; None when anything is wrong."""
    from qboxrelay.settings.problem import SettingsError

    try:
        return load(path, environ)
    except SettingsError as error:
        for problem in error.problems:
            print(f"qboxrelay: {problem}", file=sys.stderr)
        return None


def load_for_look(path: Path) -> Loaded:
    """For a command that looks or acts beside the relay: only errors are logged. Raises `typer.Exit` with 1 after what is wrong was printed."""
    import typer

    from qboxrelay.settings.schema import LogSettings
    from qboxrelay.telemetry.logs import configure

    configure(LogSettings(format="console", level="error"), sys.stderr)
    loaded = load_or_explain(path, os.environ)
    if loaded is None:
        raise typer.Exit(1)
    return loaded


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Load, verify, find the tokens. Raises `SettingsError`."""
    from qboxrelay.settings.verify import load_verified

    verified = load_verified(path, environ)
    tokens = {name: _source(location) for name, location in verified.tokens.items()}
    management = None if verified.management_token is None else _source(verified.management_token)
    return Loaded(verified.settings, tokens, verified.users, verified.warnings, management)


def _source(location: "TokenLocation") -> "TokenSource":
    from qboxrelay.qboxmail.token import FileToken, FixedToken

    return FileToken(location) if isinstance(location, Path) else FixedToken(location)
