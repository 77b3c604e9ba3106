"""SQL as text in files, each statement under its name.

In: a folder of `sql/`. Out: statements by name, migrations in order. Never: SQL put together from values.
"""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_MIGRATION = re.compile(r"\d{4}_\w+\.sql")


def load_statements(backend: str) -> dict[str, str]:
    """Every `-- name --` of the backend's files, but for its migrations, without its comments' names."""
    found: dict[str, str] = {}
    for entry in (files("qboxrelay.spool") / "sql" / backend).iterdir():
        if entry.name.endswith(".sql") and not _MIGRATION.fullmatch(entry.name):
            parts = _NAME.split(entry.read_text("utf-8"))
            found |= {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def load_migrations(backend: str) -> list[tuple[int, str]]:
    """The backend's migrations as (version, script), oldest first."""
    folder = files("qboxrelay.spool") / "sql" / backend
    found = [(entry.name, entry) for entry in folder.iterdir() if _MIGRATION.fullmatch(entry.name)]
    return [(int(name[:4]), entry.read_text("utf-8")) for name, entry in sorted(found, key=lambda pair: pair[0])]
