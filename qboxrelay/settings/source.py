"""What a configuration is read from: one TOML file and the environment.

In: a path and variables. Out: `Source`: the values as they were written, where each one stands, and what could not be read.
Never: a judgement about a value; `load` and `verify` make it.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qboxrelay.settings import environment
from qboxrelay.settings.keys import dotted
from qboxrelay.settings.locate import line_of, locate
from qboxrelay.settings.paths import absolute
from qboxrelay.settings.problem import Problem
from qboxrelay.settings.types import Section

KeyPath = tuple[str | int, ...]

_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$", re.DOTALL)
_GIVEN_BEFORE = ("this key or section was given before", "keep one of the two")
_NO_VALUE = ("a value is missing or not quoted", 'text stands in double quotes, such as "text"')
_SYNTAX = {
    "Cannot overwrite a value": _GIVEN_BEFORE,
    "Cannot declare": _GIVEN_BEFORE,
    "Cannot mutate immutable namespace": _GIVEN_BEFORE,
    "Invalid value": _NO_VALUE,
    "Expected newline or end of document": (
        "there is more than one key on this line",
        "begin a new line, or a comment with #",
    ),
    "Expected '=' after a key": ("there is no = behind the key", 'write key = "value"'),
    "Invalid statement": ("this is neither a section nor a key", 'write [section], key = "value", or # comment'),
    "Expected ']": ("the name of the section is not closed", "close it with as many brackets as it was opened"),
    "Unclosed array": ("a list is not closed", "close it with ]"),
    "Unterminated string": ("a text is not closed", "close it with the quote that it was opened with"),
    "Illegal character '\\n'": ("a text is not closed on its line", "close it with the quote that it was opened with"),
    "Unescaped '\\' in a string": (
        "a backslash means something else in double quotes",
        "write it twice, or use single quotes",
    ),
}
_NOT_TOML = ("this is not TOML", "see https://toml.io/en/v1.0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was read. `data` nests as TOML does; `problems` hold what kept a part of it from being read."""

    path: Path | None
    folder: Path
    """What relative paths of the configuration are relative to."""
    environ: Mapping[str, str]
    data: dict[str, Any]
    problems: tuple[Problem, ...] = ()
    lines: dict[KeyPath, int] = field(default_factory=dict)
    from_environment: frozenset[KeyPath] = frozenset()

    def problem(self, path: KeyPath, wrong: str, instead: str = "") -> Problem:
        """A problem with the key at `path`, at the place that set it."""
        name = dotted(path)
        if path in self.from_environment:
            variable = environment.PREFIX + "_".join(map(str, path)).upper()
            return Problem(source=environment.SOURCE, key=variable, wrong=wrong, instead=instead)
        line = line_of(self.lines, path)
        return Problem(
            source=str(self.path) if self.path is not None else "", line=line, key=name, wrong=wrong, instead=instead
        )


def read(path: Path | None, environ: Mapping[str, str], root: type[Section]) -> Source:
    """Read the file, if there is one, and lay the environment over it. Never raises: what is wrong is in `problems`."""
    text, unreadable = _text(path)
    data, syntax = _parsed(text, path)
    over, unknown = environment.overrides(root, environ)
    laid = {key: value for key, value in over.items() if _lay(data, key, value)}
    folder = path.absolute().parent if path is not None else Path.cwd()
    return Source(
        path=path,
        folder=folder,
        environ=environ,
        data=absolute(data, environ, folder),
        problems=unreadable + syntax + unknown,
        lines={} if syntax else locate(text),
        from_environment=frozenset(laid),
    )


def _text(path: Path | None) -> tuple[str, tuple[Problem, ...]]:
    if path is None:
        return "", ()
    try:
        octets = path.read_bytes()
    except FileNotFoundError:
        return "", (Problem(source=str(path), wrong="there is no such file", instead=_neighbour(path)),)
    except OSError as error:
        wrong = f"cannot be read: {error.strerror or type(error).__name__}"
        return "", (Problem(source=str(path), wrong=wrong, instead="name a file that this user may read"),)
    try:
        return octets.decode("utf-8-sig").replace("\r\n", "\n"), ()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        return "", (Problem(source=str(path), line=line, wrong="is not UTF-8", instead="save the file as UTF-8"),)


def _neighbour(path: Path) -> str:
    """A file beside the missing one whose name is like it."""
    near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.glob("*.toml")], n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "name another one with --config"


def _parsed(text: str, path: Path | None) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    try:
        return tomllib.loads(text), ()
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.match(str(error))
        what = place["what"] if place else str(error)
        line = int(place["line"]) if place and place["line"] else text.count("\n") + 1
    except RecursionError:
        what, line = "", 1
    wrong, instead = next((words for start, words in _SYNTAX.items() if what.startswith(start)), _NOT_TOML)
    return {}, (Problem(source=str(path), line=line, wrong=wrong, instead=instead),)


def _lay(data: dict[str, Any], key: tuple[str, ...], value: str) -> bool:
    """Set a key of a table, unless something that is no table stands in its place: validation says that."""
    table: Any = data
    for part in key[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            return False
    table[key[-1]] = value
    return True
