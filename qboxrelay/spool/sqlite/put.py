"""Storing the submissions that one commit takes in.

In: submissions of all calls of the group. Out: their content, each with what its row will hold, in one statement where that is possible. Never: part
of a call.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import orjson

from qboxrelay.model.submission import State, Submission
from qboxrelay.spool.sqlite.fresh import Arrived, Fresh, row_of
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.times import to_ms

_NO_RAW = 0
_ONE_STATEMENT = 256


class Arrivals:
    """Collects what the calls of a group hand in; `store` writes it."""

    def __init__(self, sql: dict[str, str], fresh: Fresh, *, keep_raw: bool) -> None:
        self._sql = sql
        self._fresh = fresh
        self._statement = Many(sql["insert_arrival"], most_rows=_ONE_STATEMENT)
        self._keep_raw = keep_raw
        self._key: int | None = None

    def add(self, transaction: Transaction, submissions: Sequence[Submission]) -> None:
        transaction.arrivals.extend(submissions)

    def size(self, submissions: Sequence[Submission]) -> int:
        """Bytes of content that are kept."""
        size = sum([len(one.payload) for one in submissions])
        return size + sum([len(one.raw) for one in submissions if one.raw]) if self._keep_raw else size

    def is_one_statement(self, transaction: Transaction) -> bool:
        """Whether all of it is stored by one, which needs no transaction around it."""
        return len(transaction.arrivals) <= _ONE_STATEMENT and not self._fresh.is_much(transaction.arrivals)

    def store(self, transaction: Transaction, now: datetime) -> None:
        connection, arrivals = transaction.connection, transaction.arrivals
        if not arrivals:
            return
        self._fresh.require_new(arrivals)
        first, stored_at = self._last_key_of(connection) + 1, to_ms(now)
        arrived = [Arrived(key, one, row_of(one, stored_at), now) for key, one in enumerate(arrivals, first)]
        # Also when this commit fails: a gap harms nobody.
        self._key = arrived[-1].key
        _count(transaction)
        much = self._fresh.is_much(arrivals)
        transaction.arrived = [] if much else arrived
        # Where this is one statement, it is the commit: what failed behind it would be told as if nothing had happened.
        self._statement.execute(connection, [self._values(one) for one in arrived])
        if much:
            self._fresh.line_up(transaction, come=arrived)

    def _values(self, one: Arrived) -> tuple[object, ...]:
        raw = one.submission.raw if self._keep_raw else None
        return (
            one.key,
            one.submission.payload,
            _NO_RAW if raw is None else raw,
            orjson.dumps(one.row).decode(),
            one.submission.id,
        )

    def _last_key_of(self, connection: sqlite3.Connection) -> int:
        """Asked for once: the spool's lock keeps everybody else from adding submissions."""
        if self._key is None:
            (self._key,) = connection.execute(self._sql["last_key"]).fetchone()
        return self._key


def _count(transaction: Transaction) -> None:
    accounts = [one.account for one in transaction.arrivals]
    for account in set(accounts):
        sizes = [len(one.payload) for one in transaction.arrivals if one.account == account]
        transaction.count_arrived(account, State.QUEUED, len(sizes), sum(sizes))
        transaction.woken.add(account)
