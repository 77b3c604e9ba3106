"""How a commit begins and ends, and what it does beside its rows: figures, leases, and whom to wake.

In: what the functions of a group did. Out: changes that are applied in memory only after the commit. Never: a change that
outlives a rollback.
"""

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qboxrelay.model.submission import State, Submission
from qboxrelay.spool.sqlite.many import Many

if TYPE_CHECKING:
    from qboxrelay.spool.sqlite.fresh import Arrived

Figures = dict[tuple[str, str], list[int]]
"""Changes of messages and bytes, by account and state."""

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


def require_none(connection: sqlite3.Connection) -> None:
    """An undoing that failed, for want of memory, leaves its transaction open: whatever came behind would be part of it, and not durable. It is
    undone now, or this raises sqlite3.Error or MemoryError.
    """
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@dataclass(slots=True)
class Transaction:
    """One group of functions: the connection, and what follows when it is committed."""

    connection: sqlite3.Connection
    figures: Figures = field(default_factory=dict)
    """For the memory."""
    depth: Figures = field(default_factory=dict)
    """Of rows, for the table: what came in just now has none."""
    woken: set[str] = field(default_factory=set)
    arrivals: list[Submission] = field(default_factory=list)
    """Stored at the end of the group, together."""
    arrived: "list[Arrived]" = field(default_factory=list)
    """What stands without a row when this is committed."""
    lined_up: bool = False
    """Whether all that came in before this has its row now."""
    admitted_messages: int = 0
    admitted_bytes: int = 0
    granted: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Leases by request: the account, and until when by the monotonic clock."""
    ended: set[int] = field(default_factory=set)
    """Requests of which nothing is under way any more."""

    def count(self, account: str, state: str, messages: int, size: int) -> None:
        self.count_arrived(account, state, messages, size)
        self.count_stored(account, state, messages, size)

    def count_arrived(self, account: str, state: str, messages: int, size: int) -> None:
        """Of what has no row yet."""
        _add(self.figures, account, state, messages, size)

    def count_stored(self, account: str, state: str, messages: int, size: int) -> None:
        """Of what gets the row it did not have."""
        _add(self.depth, account, state, messages, size)

    def store_depth(self, statement: Many) -> None:
        """In the same commit as the rows that changed it."""
        statement.execute(self.connection, [(*key, *change) for key, change in self.depth.items()])

    def move(self, account: str, before: str, after: str, messages: int, size: int) -> None:
        self.count(account, before, -messages, -size)
        self.count(account, after, messages, size)


def _add(figures: Figures, account: str, state: str, messages: int, size: int) -> None:
    entry = figures.setdefault((account, state), [0, 0])
    entry[0] += messages
    entry[1] += size
