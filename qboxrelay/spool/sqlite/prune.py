"""Forgetting what was kept long enough, in small steps.

In: the times before which a record or a content may go. Out: how much went. Never: anything that still waits, or a step
long enough to keep a session waiting for its commit.
"""

import orjson

from qboxrelay import failpoints
from qboxrelay.model.submission import State
from qboxrelay.spool.sqlite.content import Content
from qboxrelay.spool.sqlite.database import free_pages
from qboxrelay.spool.sqlite.transaction import Transaction

STEP = 200
_SLACK_PAGES = 4096
"""Free pages that stay in the file for the mail to come; beyond, a backlog that is gone gives its space back."""
_PAGES_AT_ONCE = 64


class Pruner:
    """One step a call; call again while it returns something."""

    def __init__(self, sql: dict[str, str], content: Content) -> None:
        self._sql = sql
        self._content = content

    def prune(self, transaction: Transaction, *, trail_before: int, payloads_before: int) -> int:
        """Rows and pages that went. Times in milliseconds since 1970."""
        connection, sql = transaction.connection, self._sql
        old = {"before": payloads_before, "limit": STEP}
        keys = [key for (key,) in connection.execute(sql["failed_with_old_payload"], old)]
        self._content.drop(connection, keys)
        done = len(keys)
        for state in (State.SENT, State.FAILED):
            done += self._forget(transaction, state, trail_before)
        done += connection.execute(sql["delete_acts"], {"before": trail_before, "limit": STEP}).rowcount
        done += connection.execute(sql["delete_requests"], {"before": trail_before, "limit": STEP}).rowcount
        if done:
            failpoints.reach("pruning")
        return done + self._shrink(transaction)

    def _forget(self, transaction: Transaction, state: State, before: int) -> int:
        connection, sql = transaction.connection, self._sql
        rows = connection.execute(sql["prunable"], {"state": state, "before": before, "limit": STEP}).fetchall()
        keys = {"keys": orjson.dumps([key for key, _, _ in rows]).decode()}
        if rows:
            for statement in ("delete_payloads", "delete_attempts", "delete_submissions"):
                connection.execute(sql[statement], keys)
        for _, account, size in rows:
            transaction.count(account, state, -1, -size)
        return len(rows)

    def _shrink(self, transaction: Transaction) -> int:
        connection = transaction.connection
        free = free_pages(connection)
        if free <= _SLACK_PAGES:
            return 0
        connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
        return free - free_pages(connection)
