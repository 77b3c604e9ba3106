"""A claim that takes what came in just now chooses as one that gives each mail its place in the order of turns first."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qboxrelay.model.submission import Submission
from qboxrelay.spool.sqlite.claim import Claimer
from qboxrelay.spool.sqlite.database import open_writer
from qboxrelay.spool.sqlite.fresh import Fresh
from qboxrelay.spool.sqlite.put import Arrivals
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.statements import load_statements

SQL = load_statements("sqlite")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 20
Mail = tuple[str, int, int, str]
"""Client, priority, bytes, account."""
MAIL = st.tuples(
    st.sampled_from(["", "a", "b", "ä"]), st.sampled_from([-1, 0, 0, 1]), st.integers(1, 40), st.sampled_from("xy")
)


class Store:
    """Puts and claims of account x, on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._fresh = Fresh(SQL)
        self._arrivals = Arrivals(SQL, self._fresh, keep_raw=False)
        self._claimer = Claimer(SQL, self._fresh, horizon=timedelta(hours=4), monotonic=time.monotonic)
        self._numbers = count(1)

    def put(self, mails: list[Mail]) -> None:
        transaction = Transaction(self.connection)
        self._arrivals.add(transaction, [self._submission(*mail) for mail in mails])
        self._arrivals.store(transaction, NOW)
        self._fresh.applied(transaction)

    def line_up(self) -> None:
        transaction = Transaction(self.connection)
        self._fresh.line_up(transaction)
        self._fresh.applied(transaction)

    def claim(self, messages: int = MOST, size: int = 400) -> list[tuple[int, str]]:
        transaction = Transaction(self.connection)
        found = self._claimer.claim(
            transaction, "x", NOW, max_messages=messages, max_bytes=size, lease=timedelta(minutes=5)
        )
        self._fresh.applied(transaction)
        return [(one.key, one.id) for one in found[0].submissions] if found else []

    def _submission(self, client: str, priority: int, size: int, account: str) -> Submission:
        return Submission(
            id=f"{next(self._numbers)}-1",
            transaction_id="",
            account=account,
            client_key=client,
            priority=priority,
            payload=b"x" * size,
            received_at=NOW,
            envelope_sender="",
            recipients=(),
        )


def claims(path: Path, rounds: list[list[Mail]], *, lined_up: bool) -> list[list[tuple[int, str]]]:
    """What each claim takes, after a round of arrivals."""
    found = []
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN")
        store = Store(connection)
        for arrived in rounds:
            store.put(arrived)
            if lined_up:
                store.line_up()
            found.append(store.claim())
        connection.execute("ROLLBACK")
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(rounds=st.lists(st.lists(MAIL, max_size=30), max_size=4))
def test_the_same_choice(rounds: list[list[Mail]], tmp_path: Path) -> None:
    """Whatever came before and of whatever priority, in the same order, also where not all of it fits."""
    path = tmp_path / "spool.db"
    assert claims(path, rounds, lined_up=False) == claims(path, rounds, lined_up=True)


@pytest.mark.parametrize("behind", [0, 1])
def test_what_does_not_fit(behind: int, tmp_path: Path) -> None:
    """It has its place behind the claim that did not take it, as what came in for others has."""
    with closing(open_writer(tmp_path / "spool.db")) as connection:
        store = Store(connection)
        store.put([("a", 0, 1, "x")] * (MOST + behind) + [("a", 0, 1, "y")])
        assert len(store.claim()) == MOST
        waiting = connection.execute("SELECT account FROM submissions WHERE state = 'queued' ORDER BY key").fetchall()
        assert waiting == [("x",)] * behind + [("y",)]
        assert len(store.claim()) == behind


def test_a_claim_of_more_clients_than_go_round(tmp_path: Path) -> None:
    """Which is as many as there are without this way; the others are next."""
    with closing(open_writer(tmp_path / "spool.db")) as connection:
        store = Store(connection)
        store.put([(f"client {number}", 0, 1, "x") for number in range(601)])
        assert [len(store.claim(1000, 10_000)) for _ in range(2)] == [500, 101]
