"""How a commit begins and ends, and what it does beside its rows: figures, leases, and whom to wake.

In: what the functions of a group did. Out: changes that are applied in memory only after the commit. Never: a change that
outlives a rollback.
"""

import sqlite3
from dataclasses import dataclass, field

from qboxrelay.model.submission import State, Submission
from qboxrelay.spool.sqlite.many import Many

WAITING = frozenset({State.QUEUED, State.SENDING, State.HELD})
"""States that the limits count."""


def begin(connection: sqlite3.Connection) -> None:
    """BEGIN IMMEDIATE. An `execute` gives up Python's lock several times, and must get it back from a busy event loop; this does so once."""
    if connection.in_transaction:
        # The script would commit it first.
        raise sqlite3.OperationalError("cannot start a transaction within a transaction")
    connection.executescript("BEGIN IMMEDIATE")


def commit(connection: sqlite3.Connection) -> None:
    """COMMIT, likewise. Where SQLite has rolled back by itself, the method would say that all is well."""
    if not connection.in_transaction:
        raise sqlite3.OperationalError("cannot commit - no transaction is active")
    connection.commit()


@dataclass(slots=True)
class Transaction:
    """One group of functions: the connection, and what follows when it is committed."""

    connection: sqlite3.Connection
    depth: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    woken: set[str] = field(default_factory=set)
    arrivals: list[Submission] = field(default_factory=list)
    """Stored at the end of the group, together."""
    admitted_messages: int = 0
    admitted_bytes: int = 0
    granted: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Leases by request: the account, and until when by the monotonic clock."""
    ended: set[int] = field(default_factory=set)
    """Requests of which nothing is under way any more."""

    def count(self, account: str, state: str, messages: int, size: int) -> None:
        entry = self.depth.setdefault((account, state), [0, 0])
        entry[0] += messages
        entry[1] += size

    def store_depth(self, statement: Many) -> None:
        """In the same commit as the rows that changed it."""
        statement.execute(self.connection, [(*key, *change) for key, change in self.depth.items()])

    def move(self, account: str, before: str, after: str, messages: int, size: int) -> None:
        self.count(account, before, -messages, -size)
        self.count(account, after, messages, size)
