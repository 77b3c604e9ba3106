"""Finding the line of a key in a TOML text."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.settings.locate import line_of, locate
from qboxrelay.settings.toml import quoted, to_toml

TEXT = '''\
# a comment with [brackets] and key = "value"
top = 1

[relay]  # the daemon
name = "a # no comment"
"data dir" = 'C:\\mail'

[[accounts]]
name = "one"
domains = [
  "a.example",  # first ]
  # between
  "b.example",
]

[[accounts]]
text = """
[fake]
name = "not a key"
"""
inline = { a = 1, b = { c = [1, { d = 2 }] } }

[accounts.limits]
rate = 5

[[accounts.rules]]
x.y = 1
[[accounts.rules]]
x.y = 2
'''


def test_every_key_has_its_line() -> None:
    """Comments, texts of several lines, arrays, inline tables and dotted keys do not lead astray."""
    lines = locate(TEXT)

    assert {path: line for path, line in lines.items() if path[0] != "accounts"} == {
        ("top",): 2,
        ("relay",): 4,
        ("relay", "name"): 5,
        ("relay", "data dir"): 6,
    }
    assert lines["accounts", 0, "domains", 1] == 13
    assert lines["accounts", 1] == 16
    assert lines["accounts", 1, "text"] == 17
    assert lines["accounts", 1, "inline", "b", "c", 1, "d"] == 21
    assert lines["accounts", 1, "limits", "rate"] == 24
    assert lines["accounts", 1, "rules", 0, "x", "y"] == 27
    assert lines["accounts", 1, "rules", 1, "x"] == 29
    assert ("fake",) not in lines


def test_missing_key_is_at_its_table() -> None:
    """What does not stand in the text is reported at the table where it would."""
    lines = locate(TEXT)

    assert line_of(lines, ("accounts", 1, "token_file")) == 16
    assert line_of(lines, ("spool", "url")) is None


_keys = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
_scalars = st.one_of(st.booleans(), st.integers(0, 10**6), _keys)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3), max_leaves=8
)
_tables = st.dictionaries(_keys, st.dictionaries(_keys, _values, max_size=4), max_size=4)


@given(_tables)
def test_every_path_of_any_document_is_found(tables: dict[str, dict[str, Any]]) -> None:
    """Whatever keys and values hold, the line of a key is the one it was written on."""
    text = ""
    expected: dict[tuple[str | int, ...], int] = {}
    for table, pairs in tables.items():
        text += f"[{quoted(table)}]\n"
        expected[table,] = text.count("\n")
        for name, value in pairs.items():
            text += f"{quoted(name)} = {to_toml(value)} # = [\n"
            expected[table, name] = text.count("\n")
    tomllib.loads(text)

    lines = locate(text)

    assert {path: line for path, line in lines.items() if len(path) <= 2} == expected
