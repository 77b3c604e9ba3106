"""What came in just now: it stands with its content alone, and has no row among the submissions until somebody claims, or until it is much.

In: submissions whose content is stored. Out: their rows, all of them at once; the same rows for who only looks. Never: a row that is made twice:
how far the line goes is written with the rows, and it only goes on.
"""

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from qboxrelay.model.submission import State, Submission
from qboxrelay.spool.port import SpoolDamaged, SpoolError
from qboxrelay.spool.rows import submission_of
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.times import from_ms, to_ms

Sql = dict[str, str]
Row = tuple[object, ...]

COLUMNS = (
    "id", "account", "client_key", "priority", "payload_bytes", "received_at", "envelope_sender", "recipients", "notify_never", "is_notice",
    "from_address", "subject", "message_id_header", "client_address", "client_helo", "client_user", "listener", "dsn", "sender_rule", "domain_state",
    "stored_at", "traceparent",
)  # fmt: skip
"""Of `submissions`, in the order of an arrival's JSON and of the statement `insert_submission`. Later versions add behind: a crash may leave
arrivals to the next version.
"""
_NUMBERS = frozenset({"priority", "payload_bytes", "received_at", "notify_never", "is_notice", "stored_at"})
_TYPES = [int if name in _NUMBERS else str for name in COLUMNS]
_RECIPIENTS = COLUMNS.index("recipients")
_BEGINS: Mapping[str, object] = {
    **dict.fromkeys((
        "request", "request_id", "next_attempt_at", "finished_at", "outcome", "reason", "text", "message_id", "submitted_at", "suppression",
        "notice", "tell", "retried_at",
    )),
    "state": State.QUEUED.value, "ready": 1, "attempts": 0, "failures": 0, "maybe_sent": 0,
}  # fmt: skip
"""The other columns, as they begin."""
_LEAST, _MOST_NUMBER = -(10**12), 253_402_300_800_000
"""Milliseconds from the year 1938 and until the year 10000: no number of ours lies beyond."""
_UNREADABLE = "the spool's file is damaged: what came in last cannot be read"
_MOST, _MOST_BYTES = 1024, 16_000_000
"""No more stands in memory, or is looked at one by one."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One of them. `row` has the values of `COLUMNS`."""

    key: int
    submission: Submission
    row: Row
    stored_at: datetime


def row_of(submission: Submission, stored_at: int) -> Row:
    """Numbers and plain texts only: over anything else, NULL and truth values among it, Python's module takes ten times as long."""
    return (
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


class Fresh:
    """What this process stored and nobody has lined up yet, as the file has it too. The writer's thread changes it, after commits."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._submissions = Many(sql["insert_submission"])
        self._behind = True
        """Whether the file has more, or other: at first, and where memory was too short to follow a commit."""
        self.accounts: set[str]
        """Whose they are; also of those that another program has lined up meanwhile. Reading it elsewhere is safe."""
        self._keep([])

    def require_new(self, arrivals: Sequence[Submission]) -> None:
        """Raises `SpoolError` where an id is taken by one of them, or comes twice. Of those that have a row the file knows."""
        ids = {one.id for one in arrivals}
        if len(ids) < len(arrivals) or not self._ids.isdisjoint(ids):
            raise SpoolError("the spool has a submission of this id already")

    def is_much(self, arrivals: Sequence[Submission]) -> bool:
        """Whether these would be too many beside those that stand here."""
        if len(self._arrived) + len(arrivals) > _MOST:
            return True
        return self._bytes + _bytes(arrivals) > _MOST_BYTES

    def standing(self, transaction: Transaction, line: int | None = None) -> list[Arrived]:
        """Those without a row, in order of arrival. `line`: how far it goes, where the caller knows."""
        if transaction.lined_up:
            return []
        if self._behind:
            self._keep(_left(self._sql, transaction.connection))
            self._behind = False
        if self._arrived:
            last = self._line(transaction.connection) if line is None else line
            if self._arrived[0].key <= last:
                # Another program that had to change something has lined them up.
                self._keep([one for one in self._arrived if one.key > last])
        return self._arrived

    def line_up(
        self, transaction: Transaction, leased: Mapping[int, int] | None = None, *, come: Sequence[Arrived] = ()
    ) -> None:
        """Give each its row, and those that `come` with this transaction theirs. `leased` has the request of those that it claims."""
        standing = [*self.standing(transaction), *come]
        if not standing:
            return
        sending, requests = State.SENDING.value, leased or {}
        _insert(
            self._sql,
            transaction,
            self._submissions,
            [
                (one.key, *one.row, sending, requests[one.key], 1) if one.key in requests else (one.key, *one.row, "queued", 0, 0)
                for one in standing
            ],
        )  # fmt: skip

    def applied(self, transaction: Transaction) -> None:
        """After the commit."""
        behind, self._behind = self._behind, True
        if transaction.lined_up:
            self._keep([])
        if transaction.arrived:
            self._arrived.extend(transaction.arrived)
            come = [one.submission for one in transaction.arrived]
            self._bytes += _bytes(come)
            self._ids.update([one.id for one in come])
            self.accounts.update([one.account for one in come])
        self._behind = behind

    def figures(self, transaction: Transaction) -> list[tuple[str, str, int, int]]:
        """What the table `depth` did not have of them when this transaction began, as its rows."""
        if not transaction.lined_up:
            self.standing(transaction)
        return [(one.submission.account, State.QUEUED.value, 1, len(one.submission.payload)) for one in self._arrived]

    def _line(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute(self._sql["lined_up"]).fetchone()[0])

    def _keep(self, arrived: list[Arrived]) -> None:
        self._arrived = arrived
        self._bytes = _bytes([one.submission for one in arrived])
        self._ids = {one.submission.id for one in arrived}
        self.accounts = {one.submission.account for one in arrived}


def _left(sql: Sql, connection: sqlite3.Connection) -> list[Arrived]:
    """What the file has without a row. Raises `SpoolDamaged`."""
    found = []
    for key, arrival, payload, raw in connection.execute(sql["fresh_content"]):
        values = _values(arrival)
        if not payload:
            raise SpoolDamaged(_UNREADABLE)
        row = {**dict(zip(COLUMNS, values, strict=True)), "payload": payload, "raw": raw}
        found.append(Arrived(key, submission_of(row), tuple(values), from_ms(row["stored_at"])))
    return found


def line_up(sql: Sql, transaction: Transaction) -> None:
    """As `Fresh.line_up`, for a program that changes something, beside a relay or while there is none. Raises `SpoolDamaged`."""
    rows = [
        (key, *_values(arrival), "queued", 0, 0)
        for key, arrival, _ in transaction.connection.execute(sql["fresh"], {"text": ""})
    ]
    if rows:
        _insert(sql, transaction, Many(sql["insert_submission"]), rows)


def _insert(sql: Sql, transaction: Transaction, statement: Many, rows: Sequence[Row]) -> None:
    statement.execute(transaction.connection, rows)
    transaction.connection.execute(sql["line_up_to"], {"key": rows[-1][0]})
    transaction.lined_up = True
    account, size = 1 + COLUMNS.index("account"), 1 + COLUMNS.index("payload_bytes")
    for name in {row[account] for row in rows}:
        sizes: list[Any] = [row[size] for row in rows if row[account] == name]
        transaction.count_stored(str(name), State.QUEUED, len(sizes), sum(sizes))


def shown(sql: Sql, connection: sqlite3.Connection, text: str = "") -> list[dict[str, Any]]:
    """For who only looks, in order of arrival: what their rows will hold, and `has_raw` and `content_bytes`; at least those that have this text
    in a column. Raises `SpoolDamaged`.
    """
    written = orjson.dumps(text.encode(errors="replace").decode()).decode()[1:-1]
    rows = connection.execute(sql["fresh"], {"text": written})
    return [_shown(key, _values(arrival), has_raw) for key, arrival, has_raw in rows]


def _bytes(submissions: Sequence[Submission]) -> int:
    return sum([len(one.payload) + len(one.raw or b"") for one in submissions])


def _shown(key: int, values: Sequence[Any], has_raw: int) -> dict[str, Any]:
    row: dict[str, Any] = {**_BEGINS, **dict(zip(COLUMNS, values, strict=True)), "key": key, "has_raw": has_raw}
    return {**row, "content_bytes": row["payload_bytes"]}


def arrival_of(arrival: object) -> dict[str, Any] | None:
    """Of a file that cannot be trusted; None for what makes no sense."""
    try:
        return dict(zip(COLUMNS, _values(arrival), strict=True))
    except SpoolDamaged:
        return None


def _values(arrival: object) -> list[Any]:
    with contextlib.suppress(ValueError):
        values: Any = orjson.loads(arrival) if isinstance(arrival, str) else None
        if _are_values(values) and isinstance(orjson.loads(values[_RECIPIENTS]), list):
            return list(values)
    raise SpoolDamaged(_UNREADABLE)


def _are_values(found: Any) -> bool:
    return (
        isinstance(found, list)
        and [type(value) for value in found] == _TYPES
        and all(_LEAST < value < _MOST_NUMBER for value in found if type(value) is int)
    )
