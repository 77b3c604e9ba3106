"""What of a new configuration a running relay can take over, and what has to wait for a restart.

In: the settings that are in force, those that are wanted. Out: those that can be in force now, and the names of what waits. Never: half a
section whose keys only mean something together.
"""

from collections.abc import Iterator
from typing import Any

from qboxrelay.settings.schema import Settings
from qboxrelay.settings.types import Section

_WHOLE = frozenset(
    {"listeners", "tls", "users", "logins", "accounts", "senders", "sender_domains", "recipients", "mapping"}
)
"""Sections that are taken over as they are."""
_KEYS = {
    "relay": frozenset({"name", "max_receiving_bytes", "max_received", "max_passes"}),
    "delivery": frozenset({"header_priority"}),
    "log": frozenset({"level", "addresses", "subjects"}),
}
"""Keys of other sections that are; what is named nowhere waits."""


def taken_over(before: Settings, wanted: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The settings to be in force, and what of those wanted needs a restart, each as `[section] key`."""
    kept: dict[str, Any] = {}
    waiting: list[str] = []
    for name in Settings.model_fields:
        if name not in _WHOLE:
            kept[name], held = _section(name, getattr(before, name), getattr(wanted, name))
            waiting += held
    gone = {account.name for account in before.accounts} - {account.name for account in wanted.accounts}
    waiting += [f"[[accounts]] {name} (takes no new mail; what waits for it still leaves)" for name in sorted(gone)]
    return wanted.model_copy(update=kept), tuple(waiting)


def changed_sections(before: Settings, after: Settings) -> tuple[str, ...]:
    """The sections that are others now."""
    return tuple(name for name in Settings.model_fields if getattr(before, name) != getattr(after, name))


def _section(name: str, before: Section, wanted: Section) -> tuple[Section, list[str]]:
    held = {key: getattr(before, key) for key in _held_keys(name, wanted)}
    waiting = [f"[{name}] {key}" for key, value in held.items() if getattr(wanted, key) != value]
    return wanted.model_copy(update=held), waiting


def _held_keys(name: str, section: Section) -> Iterator[str]:
    return (key for key in type(section).model_fields if key not in _KEYS.get(name, frozenset()))
