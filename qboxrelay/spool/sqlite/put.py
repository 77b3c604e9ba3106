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
        for submission in submissions:
            transaction.count(submission.account, State.QUEUED, 1, len(submission.payload))
            transaction.woken.add(submission.account)

    def store(self, transaction: Transaction, now: datetime) -> None:
        if not transaction.arrivals:
            return
        connection, arrivals = transaction.connection, transaction.arrivals
        last = self._last_key_of(connection)
        stored_at = to_ms(now)
        rows = [(*_row(key, one), stored_at) for key, one in enumerate(arrivals, last + 1)]
        contents = [
            (key, one.payload, one.raw if self._keep_raw else None) for key, one in enumerate(arrivals, last + 1)
        ]
        self._submissions.execute(connection, rows)
        self._payloads.execute(connection, contents)
        # Also when this commit fails: a gap harms nobody.
        self._key = last + len(rows)
        if self._key >> _FRESH_BITS != last >> _FRESH_BITS:
            connection.execute(self._sql["line_up"])

    def _last_key_of(self, connection: sqlite3.Connection) -> int:
        """Asked for once: the spool's lock keeps everybody else from adding submissions."""
        if self._key is None:
            (self._key,) = connection.execute(self._sql["last_key"]).fetchone()
        return self._key


def _row(key: int, submission: Submission) -> tuple[object, ...]:
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
        submission.notify_never,
        submission.is_notice,
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
        submission.traceparent or None,
    )
