"""The reference configuration: every key with its default and its reason, made from the schema.

In: the schema. Out: the text of `config/qboxrelay.toml`; `python -m qboxrelay.settings.describe` prints it. Never: a key or a
sentence that the schema does not have.
"""

import sys
from collections.abc import Iterator
from typing import Any

from qboxrelay.settings.keys import Key, keys_of
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.toml import to_toml
from qboxrelay.settings.types import Section

_HEAD = """\
# qboxrelay: every key, its default, and why it is there.
#
# A key that is left out has the default shown here. Keys behind a # are not set by default.
# A duration is a number with a unit (ms, s, m, h, d, w), a size likewise (KB, MB, GB; KiB, MiB, GiB).
# Paths of files with secrets are relative to this file.
#
# Any key of a [section], lists aside, can be set from the environment, which goes before this file:
# QBOXRELAY_<SECTION>_<KEY>, such as QBOXRELAY_SPOOL_MAX_BYTES=10GB. The token of an account can come from
# QBOXRELAY_TOKEN_<NAME OF THE ACCOUNT>.
#
# `qboxrelay check --config FILE` says everything that is wrong with a file at once.
"""


def reference(root: type[Section] = Settings) -> str:
    """The whole text."""
    parts = ["\n".join(_table(name, key)) + "\n" for name, key in keys_of(root).items()]
    return "\n".join([_HEAD, *parts])


def _table(name: str, key: Key) -> Iterator[str]:
    """One table; an array of tables with its default elements, or, where there are none, one behind #."""
    if key.section is None:
        yield from _pair(key, key.default)
        return
    yield from _comment(key.section.__doc__ or "")
    if not key.repeated:
        yield f"[{name}]"
        yield from _pairs(key.section, key.default)
        return
    for element in key.default:
        yield f"[[{name}]]"
        yield from _pairs(key.section, element)
    if not key.default:
        yield f"# [[{name}]]"
        yield from (line if line.startswith("#") else f"# {line}" for line in _pairs(key.section, None))


def _pairs(section: type[Section], values: Section | None) -> Iterator[str]:
    """The keys of a table, those that are tables themselves as inline tables."""
    for name, key in keys_of(section).items():
        yield from _pair(key, key.default if values is None else getattr(values, name))


def _pair(key: Key, value: Any) -> Iterator[str]:
    yield from _comment(key.doc)
    if key.choices:
        yield "# One of: " + ", ".join(map(to_toml, key.choices))
    if isinstance(value, Section):
        value = {name: getattr(value, name) for name in keys_of(type(value))}
    unset = value in (None, ()) or value == {} or (value == "" and key.example is not None)
    shown = key.example if unset and key.example is not None else value
    line = f"{key.name} = {to_toml(shown)}"
    yield f"# {line}" if unset else line


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}".rstrip() for line in text.strip().splitlines())


if __name__ == "__main__":
    sys.stdout.write(reference())
