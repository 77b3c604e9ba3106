"""The schema as a tree of keys, for those who speak about it: the loader's messages, the environment, the reference file.

In: `Section` classes. Out: `Key`. Never: values of a configuration.
"""

import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any

from qboxrelay.settings.typed import FieldInfo
from qboxrelay.settings.typed.docstrings import texts_of
from qboxrelay.settings.types import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table. `section` is set when it holds a table, or several with `repeated`."""

    name: str
    of: type[Section]
    required: bool
    default: Any
    """None when required too."""
    section: type[Section] | None
    repeated: bool
    """An array: of tables with `section`, of values without."""
    example: Any = None
    """What to show where the default shows nothing."""
    choices: tuple[str, ...] = ()
    """The only values there are; empty when that cannot be listed."""

    @property
    def doc(self) -> str:
        """Why it is there."""
        return texts_of(self.of).get(self.name, "")


@cache
def keys_of(section: type[Section]) -> dict[str, Key]:
    """The keys of one table, in the order of the schema."""
    return {name: _key(section, name, field) for name, field in section.model_fields.items()}


def find(root: type[Section], path: tuple[str | int, ...]) -> Key | None:
    """The key that a path leads to, such as `("accounts", 0, "name")`; None when the schema has no such key."""
    section: type[Section] | None = root
    key: Key | None = None
    for part in path:
        if isinstance(part, int):
            continue
        key = keys_of(section).get(part) if section is not None else None
        if key is None:
            return None
        section = key.section
    return key


def dotted(path: tuple[str | int, ...]) -> str:
    """A path as people read it: `accounts[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _key(of: type[Section], name: str, field: FieldInfo) -> Key:
    members = _members(field.annotation)
    arrays = [member for member in members if typing.get_origin(member) is tuple]
    candidates = [typing.get_args(array)[0] for array in arrays] or members
    section = next((item for item in candidates if isinstance(item, type) and issubclass(item, Section)), None)
    return Key(
        name=name,
        of=of,
        required=field.is_required(),
        default=None if field.is_required() else field.default,
        section=section,
        repeated=bool(arrays),
        example=field.examples[0] if field.examples else None,
        choices=tuple(
            choice
            for item in candidates
            if typing.get_origin(item) is typing.Literal
            for choice in typing.get_args(item)
        ),
    )


def _members(annotation: Any) -> list[Any]:
    """The types that a union names; the type itself when it is none."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [member for member in typing.get_args(annotation) if member is not type(None)]
    return [annotation]
