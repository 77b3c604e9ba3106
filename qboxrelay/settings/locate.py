"""Where in a TOML text each key stands.

In: a text that `tomllib` has read without complaint, so that a lenient walk over its tokens is enough. Out: line numbers by
path; elements of arrays, `[[tables]]` among them, are paths too. Never: values.
"""

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
      (?P<skip>[ \t\r]+|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<text>\"{3}(?:\\.|[^\\])*?\"{3}(?!\")|'{3}.*?'{3}(?!')|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    | (?P<mark>[\[\]{}=,.])
    | (?P<bare>[^\s\[\]{}=,.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of a key, or of the nearest table around it; None when nothing of it stands in the text."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def locate(text: str) -> dict[Path, int]:
    """The line of every key, table and array element, counted from 1."""
    return _Walk(text).lines()


class _Walk:
    """One pass over the tokens; `table` is the path of the header that is in force."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}

    def lines(self) -> dict[Path, int]:
        table: Path = ()
        while self._at < len(self._tokens):
            kind = self._kind()
            if kind == "newline":
                self._at += 1
            elif kind == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else "end"

    def _header(self) -> Path:
        brackets = 0
        while self._kind() == "[":
            brackets += 1
            self._at += 1
        line = self._tokens[self._at][2]
        path = self._resolved(self._name())
        if brackets == 2:
            self._note(path, line)
            count = self._counts.get(path, 0)
            self._counts[path] = count + 1
            path = (*path, count)
        self._at += brackets
        self._note(path, line)
        return path

    def _resolved(self, name: Path) -> Path:
        """`[accounts.x]` after `[[accounts]]` speaks of the latest element (TOML 1.0, Array of Tables)."""
        path: Path = ()
        for part in name[:-1]:
            path = (*path, part)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return (*path, name[-1])

    def _name(self) -> Path:
        parts: list[str] = []
        while self._kind() not in {"=", "]", "end"}:
            kind, text, _ = self._tokens[self._at]
            if kind != ".":
                parts.append(_unquoted(text) if kind == "text" else text)
            self._at += 1
        return tuple(parts)

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at][2]
        name = self._name()
        for length in range(1, len(name) + 1):
            self._note(table + name[:length], line)
        self._at += 1
        self._value(table + name)

    def _value(self, path: Path) -> None:
        kind = self._kind()
        if kind == "[":
            self._array(path)
        elif kind == "{":
            self._inline_table(path)
        while self._kind() not in {"newline", ",", "]", "}", "end"}:
            self._at += 1

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._kind() not in {"]", "end"}:
            if self._kind() in {"newline", ","}:
                self._at += 1
                continue
            self._note((*path, index), self._tokens[self._at][2])
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._kind() not in {"}", "end"}:
            if self._kind() in {"newline", ","}:
                self._at += 1
                continue
            self._pair(path)
        self._at += 1

    def _note(self, path: Path, line: int) -> None:
        self._lines.setdefault(path, line)


def _unquoted(name: str) -> str:
    return str(tomllib.loads(f"name = {name}")["name"])


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and line; a mark is its own kind."""
    line = 1
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match.group()
        if kind == "mark":
            yield token, token, line
        elif kind != "skip":
            yield kind, token, line
        line += token.count("\n")
