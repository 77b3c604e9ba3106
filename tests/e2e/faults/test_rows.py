"""Every fault of the table has its tests, and every test that is named is there."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.e2e.faults.rows import ROWS

TESTS = Path(__file__).parents[2]
NUMBERS = {"K": range(1, 13), "D": range(1, 10), "A": [*range(1, 11), *range(12, 22)], "C": range(1, 5), "S": range(1, 6), "L": range(1, 8)}  # fmt: skip
"""A11 was never given."""


@cache
def named_in(path: str) -> set[str]:
    """Names of the test functions of a file, which is read and not imported."""
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_row_is_there() -> None:
    expected = {f"{letter}{number}" for letter, numbers in NUMBERS.items() for number in numbers} | {"P", "M"}
    assert {row.split()[0] for row in ROWS} == expected
    assert all(re.fullmatch(r"[A-Z]\d* .+", row) for row in ROWS)


def test_every_named_test_is_there() -> None:
    missing = [
        f"{row}: {name}"
        for row, shown in ROWS.items()
        if isinstance(shown, list)
        for name in shown
        if not (TESTS / name.partition("::")[0]).exists()
        or name.partition("::")[2] not in named_in(name.partition("::")[0])
    ]
    assert not missing, "rename them in tests/e2e/faults/rows.py, too"


def test_a_row_has_tests_or_a_reason() -> None:
    assert all(len(shown) > (0 if isinstance(shown, list) else 30) for shown in ROWS.values())


def test_every_file_of_faults_is_named() -> None:
    """A new fault has its row."""
    named = {name.partition("::")[0] for shown in ROWS.values() if isinstance(shown, list) for name in shown}
    here = {str(path.relative_to(TESTS)) for path in Path(__file__).parent.glob("test_*.py")} - {
        "e2e/faults/test_rows.py"
    }
    assert here <= named
