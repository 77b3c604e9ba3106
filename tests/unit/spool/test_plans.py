"""No statement slows down as the spool grows: each goes by an index, whatever waits and whatever was sent."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from qboxrelay.spool.sqlite.database import open_writer
from qboxrelay.spool.statements import load_statements

STATEMENTS = load_statements("sqlite")
WHOLE = {
    "depth": "depth",  # one row an account and state
    "latest": "s",  # backwards by key, and stops at the limit
    "pauses": "pauses",  # one row an account at most
    "all_facts": "facts",  # a few rows
    "parcels_surveyed": "s USING INDEX submissions_state",  # once, before mail is moved
    **dict.fromkeys(
        ("fresh", "fresh_times", "fresh_content", "lined_up", "line_up_to", "last_key", "outlook"), "lined_up"
    ),  # one row
    # For people, on a connection of their own, and without the rows.
    "traced_recipient": "submissions USING COVERING INDEX submissions_recipients",
}
FOUND = r"SCAN (part|one|client|line)\b"
"""What a step goes over that another one found, named so in the statements."""


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_reads_no_whole_table(name: str, tmp_path: Path) -> None:
    """Every step of SQLite's plan is a search, but over lists that are passed in, or counted out in the statement."""
    sql = STATEMENTS[name]
    placeholders = [None] * sql.count("?") or dict.fromkeys(re.findall(r":(\w+)", sql))
    with closing(open_writer(tmp_path / "spool.db")) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", placeholders)]
    scans = [
        step for step in plan if step.startswith("SCAN") and not re.search(f"VIRTUAL TABLE|CONSTANT ROW|{FOUND}", step)
    ]
    assert scans == ([f"SCAN {WHOLE[name]}"] if name in WHOLE else []), plan
    assert not [step for step in plan if "AUTOMATIC" in step], plan
    assert not [step for step in plan if "TEMP B-TREE" in step] or name == "find", plan
