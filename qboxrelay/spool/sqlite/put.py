"""Storing the submissions that one commit takes in.

In: submissions of all transactions of the group. Out: rows, inside the writer's transaction. Never: part of a transaction.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import orjson

from qboxrelay.model.submission import State, Submission
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.times import to_ms

_FRESH_BITS = 10
"""So many keys, as a power of two, take their places together, unless a claim was quicker; see `0007_fresh.sql`."""
_NO_RAW = 0


class Arrivals:
    """Collects what the calls of a group hand in; `store` writes it with few statements."""

    def __init__(self, sql: dict[str, str], *, keep_raw: bool) -> None:
        self._sql = sql
        self._submissions = Many(sql["insert_submission"])
        self._payloads = Many(sql["insert_payload"])
        self._keep_raw = keep_raw
        self._key: int | None = None

    def add(self, transaction: Transaction, submissions: Sequence[Submission]) -> None:
        transaction.arrivals.extend(submissions)

    def store(self, transaction: Transaction, now: datetime) -> None:
        if not transaction.arrivals:
            return
        connection, arrivals = transaction.connection, transaction.arrivals
        last = self._last_key_of(connection)
        stored_at = to_ms(now)
        rows = [_row(key, one, stored_at) for key, one in enumerate(arrivals, last + 1)]
        self._submissions.execute(connection, rows)
        self._payloads.execute(connection, self._contents(last + 1, arrivals))
        _count(transaction)
        # Also when this commit fails: a gap harms nobody.
        self._key = last + len(rows)
        if self._key >> _FRESH_BITS != last >> _FRESH_BITS:
            connection.execute(self._sql["line_up"])

    def _contents(self, first: int, arrivals: Sequence[Submission]) -> list[tuple[object, ...]]:
        if not self._keep_raw:
            return [(key, one.payload, _NO_RAW) for key, one in enumerate(arrivals, first)]
        return [(key, one.payload, _NO_RAW if one.raw is None else one.raw) for key, one in enumerate(arrivals, first)]

    def _last_key_of(self, connection: sqlite3.Connection) -> int:
        """Asked for once: the spool's lock keeps everybody else from adding submissions."""
        if self._key is None:
            (self._key,) = connection.execute(self._sql["last_key"]).fetchone()
        return self._key


def _count(transaction: Transaction) -> None:
    accounts = [one.account for one in transaction.arrivals]
    for account in set(accounts):
        sizes = [len(one.payload) for one in transaction.arrivals if one.account == account]
        transaction.count(account, State.QUEUED, len(sizes), sum(sizes))
        transaction.woken.add(account)


def _row(key: int, submission: Submission, stored_at: int) -> tuple[object, ...]:
    """Numbers and plain texts only: over anything else, NULL and truth values among it, the module takes ten times as long."""
    return (
        key,
        submission.id,
        submission.account,
        submission.client_key,
        submission.priority,
        len(submission.payload),
        to_ms(submission.received_at),
        submission.envelope_sender,
        orjson.dumps(submission.recipients).decode(),
        1 if submission.notify_never else 0,
        1 if submission.is_notice else 0,
        submission.from_address,
        submission.subject,
        submission.message_id_header,
        submission.client_address,
        submission.client_helo,
        submission.client_user,
        submission.listener,
        submission.dsn,
        submission.sender_rule,
        submission.domain_state,
        stored_at,
        submission.traceparent,
    )
