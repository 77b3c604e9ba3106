"""Storing the submissions that one commit takes in.

In: submissions of all transactions of a group. Out: rows, by one statement. Never: part of a transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from qboxrelay.model.submission import Submission
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.reads import fitting, storable
from qboxrelay.spool.times import to_ms

_COLUMNS = (
    "ids", "accounts", "client_keys", "priorities", "sizes", "received", "senders", "recipients", "nevers", "notices", "froms", "subjects",
    "headers", "addresses", "helos", "users", "listeners", "dsns", "rules", "domain_states", "traces", "payloads", "raws",
)  # fmt: skip


class Arrivals:
    """Stores for one spool."""

    def __init__(self, sql: dict[str, str], *, keep_raw: bool) -> None:
        self._put = sql["put"]
        self._put_again = sql["put"].replace("WHERE true", f"WHERE {sql['not_here'].rstrip(';')}")
        self._keep_raw = keep_raw

    def size(self, submissions: Sequence[Submission]) -> int:
        """Bytes that they will take."""
        size = sum(len(submission.payload) for submission in submissions)
        return size + (sum(len(submission.raw or b"") for submission in submissions) if self._keep_raw else 0)

    async def store(
        self, connection: Connection, submissions: Sequence[Submission], now: datetime, *, again: bool = False
    ) -> None:
        """All of them or none. In a connection where nothing else is under way, it is committed when this returns. `again`: some may be there
        already, and stay as they are; what an operator deleted meanwhile does not come back.
        """
        if submissions:
            columns = zip(*map(self._row, submissions), strict=True)
            values: dict[str, Any] = {name: list(column) for name, column in zip(_COLUMNS, columns, strict=True)}
            await connection.execute(self._put_again if again else self._put, values | {"now": to_ms(now)})

    def _row(self, submission: Submission) -> tuple[object, ...]:
        """In the order of `_COLUMNS`."""
        return (
            clean(submission.id),
            clean(submission.account),
            fitting(clean(submission.client_key)),
            submission.priority,
            len(submission.payload),
            to_ms(submission.received_at),
            clean(submission.envelope_sender),
            clean(orjson.dumps(submission.recipients).decode()),
            submission.notify_never,
            submission.is_notice,
            clean(submission.from_address),
            clean(submission.subject),
            fitting(clean(submission.message_id_header)),
            clean(submission.client_address),
            clean(submission.client_helo),
            clean(submission.client_user),
            clean(submission.listener),
            clean(submission.dsn),
            clean(submission.sender_rule),
            clean(submission.domain_state),
            clean(submission.traceparent),
            submission.payload,
            submission.raw if self._keep_raw else None,
        )


def clean(text: str) -> str:
    """What the database cannot hold is replaced: mail must not be refused for ever because of a NUL in a subject."""
    return text if text.isascii() and "\0" not in text else storable(text)
