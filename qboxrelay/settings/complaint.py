"""From a validation error to a sentence: what is wrong with a key, and what to write instead.

In: a mistake and the schema. Out: two clauses. Never: the value that was refused.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Any

from qboxrelay.settings.keys import Key, find, keys_of
from qboxrelay.settings.toml import to_toml
from qboxrelay.settings.typed import Mistake
from qboxrelay.settings.types import Section

Path = tuple[str | int, ...]
Clauses = tuple[str, str]

_TYPES = {
    "string_type": "must be text in quotes",
    "path_type": "must be a path in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false, without quotes",
    "bool_parsing": "must be true or false, without quotes",
    "tuple_type": "must be a list in square brackets",
    "missing": "is required",
    "size_type": "must be a size with a unit",
}
_ANOTHER_TYPE = "is of another type"
_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least"),
    "greater_than": ("gt", "must be more than"),
    "less_than_equal": ("le", "must be at most"),
    "less_than": ("lt", "must be less than"),
}
_SHOWN_KEYS = 6


def complain(mistake: Mistake, root: type[Section]) -> Clauses:
    """What is wrong, and what to write instead; the second is empty when the first says it all."""
    kind, path, context = mistake.kind, mistake.place, mistake.context
    key = find(root, path)
    if kind == "extra_forbidden":
        return unknown(path, mistake.input, root)
    if key is not None and key.section is not None and kind in {"model_type", "tuple_type"}:
        return _wrong_table(key, path, mistake.input)
    if kind == "literal_error":
        return f"must be {_choices(context['expected'])}", _nearest_choice(context["expected"], mistake.input)
    if kind == "value_error":
        return _hidden(str(context["error"]), path, mistake.input), ""
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return f"{text} {to_toml(context[name]).removesuffix('.0')}", ""
    return _TYPES.get(kind, _ANOTHER_TYPE), _example(key)


def unknown(path: Path, value: Any, root: type[Section]) -> Clauses:
    """A key or section that the schema has not."""
    name = str(path[-1])
    section = root if len(path) == 1 else getattr(find(root, path[:-1]), "section", None)
    known = keys_of(section) if section is not None else {}
    if section is root and not isinstance(value, dict | list):
        return _homeless(name, root)
    what = "is no known section" if section is root else "is no known key"
    if near := difflib.get_close_matches(name.lower(), known, n=1):
        return what, f"did you mean {_header(known[near[0]]) if section is root else near[0]}?"
    if section is not root and (homes := list(_homes(name, root))):
        return "is no key of this section", f"it belongs in {' or '.join(homes)}"
    if len(known) <= _SHOWN_KEYS:
        return what, f"known here: {', '.join(known)}"
    return what, "remove it; the reference configuration shows every key"


def _homeless(name: str, root: type[Section]) -> Clauses:
    wrong = "stands outside of every section"
    homes = list(_homes(name, root))
    return wrong, f"move it under {' or '.join(homes)}" if homes else "remove it, or move it under its section"


def _homes(name: str, root: type[Section]) -> Iterator[str]:
    for key in keys_of(root).values():
        if key.section is not None and name in keys_of(key.section):
            yield _header(key)


def _header(key: Key) -> str:
    return f"[[{key.name}]]" if key.repeated else f"[{key.name}]"


def _wrong_table(key: Key, path: Path, value: Any) -> Clauses:
    name = ".".join(part for part in path if isinstance(part, str))
    if not key.repeated:
        wrong = "there is only one of it" if isinstance(value, list) else "must be a table"
        return wrong, f"write [{name}], with one pair of brackets"
    wrong = "there may be several of it" if isinstance(value, dict) else "must be a list of tables"
    return wrong, f"write [[{name}]], with two pairs of brackets"


def _choices(expected: str) -> str:
    return expected.replace("'", '"')


def _nearest_choice(expected: str, value: Any) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    near = difflib.get_close_matches(str(value).lower(), choices, n=1)
    return f'did you mean "{near[0]}"?' if near else ""


def _hidden(text: str, path: Path, value: Any) -> str:
    """A validator's own words, without the value where it may be a secret."""
    secret = re.search(r"token|password|secret|key|url", str(path[-1]))
    return text.replace(str(value), "***") if secret and isinstance(value, str) and value else text


def _example(key: Key | None) -> str:
    if key is None or key.section is not None:
        return ""
    shown = key.example if key.example is not None else key.default
    return f"for example {key.name} = {to_toml(shown)}" if shown not in (None, "", ()) else ""
