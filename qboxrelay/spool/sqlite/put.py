"""Storing the submissions that one commit takes in.

In: submissions of all transactions of the group. Out: rows, inside the writer's transaction. Never: part of a transaction.
"""

from collections.abc import Sequence
from datetime import datetime

import orjson

from qboxrelay.model.submission import State, Submission
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.statements import by_rows, in_parts
from qboxrelay.spool.times import to_ms


class Arrivals:
    """Collects what the calls of a group hand in; `store` writes it with few statements."""

    def __init__(self, sql: dict[str, str], *, keep_raw: bool) -> None:
        self._last_key = sql["last_key"]
        self._submissions = by_rows(sql["insert_submission"])
        self._payloads = by_rows(sql["insert_payload"])
        self._keep_raw = keep_raw

    def add(self, transaction: Transaction, submissions: Sequence[Submission]) -> None:
        transaction.arrivals.extend(submissions)
        for submission in submissions:
            transaction.count(submission.account, State.QUEUED, 1, len(submission.payload))
            transaction.woken.add(submission.account)

    def store(self, transaction: Transaction, now: datetime) -> None:
        if not transaction.arrivals:
            return
        execute = transaction.connection.execute
        (key,) = execute(self._last_key).fetchone()
        stored_at = to_ms(now)
        for part in in_parts(transaction.arrivals):
            rows: list[object] = []
            payloads: list[object] = []
            for submission in part:
                key += 1
                rows += (*_row(key, submission), stored_at)
                payloads += (key, submission.payload, submission.raw if self._keep_raw else None)
            execute(self._submissions[len(part)], rows)
            execute(self._payloads[len(part)], payloads)


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
