"""A claim that takes all that came in just now chooses as one that gives each mail its place in the order of turns first."""

from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qboxrelay.spool.sqlite.database import open_writer
from qboxrelay.spool.sqlite.turns import Turns
from qboxrelay.spool.statements import load_statements

SQL = load_statements("sqlite")
MOST = 20
MAIL = st.tuples(
    st.sampled_from(["", "a", "b", "ä"]), st.sampled_from([-1, 0, 0, 1]), st.integers(1, 40), st.sampled_from("xy")
)
ROW = """
INSERT INTO submissions (key, id, state, account, client_key, priority, payload_bytes, received_at, envelope_sender, recipients, notify_never,
  is_notice, from_address, subject, message_id_header, client_address, client_helo, client_user, listener, fresh)
VALUES (?, ?, 'queued', ?, ?, ?, ?, 0, '', '[]', 0, 0, '', '', '', '', '', '', '', 1)
"""


def claims(path: Path, rounds: list[list[tuple[str, int, int, str]]], *, first: str) -> list[list[tuple[int, int]]]:
    """What each claim of account x takes, after a round of arrivals and the statement `first`."""
    found = []
    keys = count(1)
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("DELETE FROM submissions")
        turns = Turns(SQL)
        for arrived in rounds:
            for client, priority, size, account in arrived:
                key = next(keys)
                connection.execute(ROW, (key, str(key), account, client, priority, size))
            connection.execute(first)
            found.append(turns.choose(connection, "x", MOST, 400)[0])
            connection.executemany(
                "UPDATE submissions SET state = 'sending', fresh = 0 WHERE key = ?", [(key,) for key, _ in found[-1]]
            )
        connection.execute("ROLLBACK")
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(rounds=st.lists(st.lists(MAIL, max_size=30), max_size=4))
def test_the_same_choice(rounds: list[list[tuple[str, int, int, str]]], tmp_path: Path) -> None:
    """Whatever came before and of whatever priority, in the same order; where not all of it fits there is one way only."""
    path = tmp_path / "spool.db"
    assert claims(path, rounds, first="SELECT 1") == claims(path, rounds, first=SQL["line_up"])


@pytest.mark.parametrize(("waits", "lined_up"), [(MOST, False), (MOST + 1, True)])
def test_only_where_all_of_it_fits(waits: int, lined_up: bool, tmp_path: Path) -> None:
    """Then no row is written for the choice; else all that came in takes its place."""
    with closing(open_writer(tmp_path / "spool.db")) as connection:
        for key in range(1, waits + 1):
            connection.execute(ROW, (key, str(key), "x", "a", 0, 1))
        before = connection.total_changes
        assert len(Turns(SQL).choose(connection, "x", MOST, 400)[0]) == MOST
        assert (connection.total_changes - before) == (waits if lined_up else 0)


def test_a_claim_of_more_clients_than_go_round(tmp_path: Path) -> None:
    """Which is as many as there are without this way."""
    with closing(open_writer(tmp_path / "spool.db")) as connection:
        connection.executemany(ROW, [(key, str(key), "x", f"client {key}", 0, 1) for key in range(1, 602)])
        assert len(Turns(SQL).choose(connection, "x", 1000, 10_000)[0]) == 500
