"""A damaged spool: its readable rows go to a new file, and the old one is kept as it is.

In: the path of a database that cannot be trusted. Out: one that can, with what could be read. Never: a byte of the old file changed or
deleted, a mail that is half read sent, or a state after a crash from which the next start does not go on.
"""

import contextlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.sqlite import exchange, salvage
from qboxrelay.spool.sqlite.damage import unmark
from qboxrelay.spool.sqlite.database import migrate, open_writer
from qboxrelay.spool.sqlite.fresh import COLUMNS, arrival_of
from qboxrelay.spool.statements import load_migrations

_COMMITTED_AT_ONCE_BYTES = 64_000_000
"""A copy that was cut off is made anew, so it need not be one transaction: a huge file would go through the log as a whole."""
_ROW_BYTES = 1000
_LINE = """
SELECT max(coalesce((SELECT max(key) FROM submissions), 0), coalesce((SELECT max(submission) FROM attempts WHERE submission < 1 << 53), 0),
           coalesce(:line, (SELECT max(key) FROM payloads), 0))
"""
"""Behind the last that is known to have had a row; where the mark cannot be read nobody knows of any content that it had none."""
_ORPHANS = "SELECT key, arrival, length(payload) FROM payloads WHERE key NOT IN (SELECT key FROM submissions)"
_REVIVED = """
INSERT OR IGNORE INTO submissions (
  key, id, state, account, client_key, payload_bytes, received_at, envelope_sender, recipients, notify_never, is_notice,
  from_address, subject, message_id_header, client_address, client_helo, client_user, listener, reason, text
) VALUES (
  :key, :id, 'held', coalesce((SELECT account FROM submissions GROUP BY account ORDER BY count(*) DESC LIMIT 1), 'default'), '',
  length(:payload), coalesce((SELECT max(received_at) FROM submissions), 0), '', :recipients, 0, 0, :from, :subject, '', '', '', '', '',
  'rescued', 'its envelope could not be read from the damaged spool: whether and by which account it was sent is not known'
)
"""
_FORGET_ORPHANS = "DELETE FROM payloads WHERE arrival IS NULL AND key NOT IN (SELECT key FROM submissions)"
_REVIVED_WHOLE = f"""
INSERT OR IGNORE INTO submissions (key, {", ".join(COLUMNS)}, state, reason, text)
VALUES (:key, {", ".join(f":{name}" for name in COLUMNS)}, 'held', 'rescued', 'its state could not be read from the damaged spool: whether it was sent is not known')
"""  # noqa: S608 - names of our own schema
_RECOUNT = """
INSERT OR REPLACE INTO depth (account, state, messages, bytes)
SELECT account, state, count(*), sum(payload_bytes) FROM submissions GROUP BY account, state
"""
_HOLD_WITHOUT_CONTENT = """
UPDATE submissions SET state = 'held', reason = 'content', outcome = 'deferred', next_attempt_at = NULL,
  text = 'the content could not be read from the damaged spool'
WHERE state IN ('queued', 'sending') AND key NOT IN (SELECT key FROM payloads WHERE length(payload) > 0)
"""


_COUNT = (
    "SELECT (SELECT count(*) FROM submissions) + (SELECT count(*) FROM payloads WHERE key > (SELECT key FROM lined_up))"
)


@dataclass(frozen=True, slots=True)
class Rescued:
    """What came of it: submissions in the new file, rows that could not be read."""

    reason: str
    saved_as: Path
    submissions: int
    unreadable: int

    def shown(self) -> dict[str, str | int]:
        """For the log."""
        return {
            "reason": self.reason,
            "saved_as": str(self.saved_as),
            "submissions": self.submissions,
            "unreadable": self.unreadable,
        }


def rescue(path: Path, reason: str, *, stamp: str) -> Rescued:
    """Copy what can be read, then put the new file in the old one's place. `stamp` tells saved files apart. Raises SpoolError, sqlite3.Error,
    OSError; then the old file is where it was, and no half copy takes the room that the disk needs.
    """
    exchange.forget_copy(path)
    saved = exchange.unused_name(path, stamp)
    try:
        submissions, unreadable = _copied(path)
    except BaseException:
        with contextlib.suppress(OSError):
            exchange.forget_copy(path)
        raise
    exchange.plan(path, saved)
    finish(path)
    return Rescued(reason=reason, saved_as=saved, submissions=submissions, unreadable=unreadable)


def finish(path: Path) -> None:
    """Exchange the files as planned, from wherever an earlier try was cut off."""
    if exchange.finish(path):
        unmark(path)
        exchange.conclude(path)


def _copied(path: Path) -> tuple[int, int]:
    """Submissions in the copy, and rows that are not."""
    newest = load_migrations("sqlite")[-1][0]
    # SQLite deletes the log of a file that is empty.
    if not path.exists() or path.stat().st_size == 0:
        open_writer(exchange.copy_of(path)).close()
        return 0, 1
    with closing(salvage.open_source(path)) as source:
        schema = salvage.schema_of(source)
        if schema > newest:
            raise SpoolError(f"it was written by a newer qboxrelay (schema {schema}): install that version again")
        # Rows of an older version are migrated as they would be in a file that is whole.
        with closing(open_writer(exchange.copy_of(path), schema=schema or newest)) as target:
            unreadable = sum(_copy(source, target, table) for table in (*salvage.BY_KEY, *salvage.WHOLE))
            migrate(target)
            target.execute("BEGIN IMMEDIATE")
            (line,) = target.execute(_LINE, {"line": salvage.line_of(source)}).fetchone()
            target.execute("UPDATE lined_up SET key = ?", (line,))
            unreadable = max(0, unreadable - _revive(target, line))
            _complete(source, target)
            target.execute("COMMIT")
            (submissions,) = target.execute(_COUNT).fetchone()
            # What is renamed must be whole without its log.
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return submissions, unreadable


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    """Rows that could not be read or make no sense. What the target itself says (no space, no memory) is raised."""
    known = salvage.columns(target, table)
    named = {name: type_ for name, type_ in salvage.columns(source, table).items() if name in known}
    if not named:
        return 1 if known else 0
    insert = f"INSERT INTO {table} ({', '.join(named)}) VALUES ({', '.join('?' * len(named))})"  # noqa: S608 - names of our own schema
    unreadable, written = 0, 0
    target.execute("BEGIN IMMEDIATE")
    for row in salvage.rows(source, table, named):
        if row is None:
            unreadable += 1
            continue
        try:
            target.execute(insert, row)
        except (sqlite3.IntegrityError, sqlite3.DataError, ValueError):
            unreadable += 1
        written += _ROW_BYTES + sum(len(value) for value in row if isinstance(value, bytes))
        if written > _COMMITTED_AT_ONCE_BYTES:
            target.execute("COMMIT")
            target.execute("BEGIN IMMEDIATE")
            written = 0
    target.execute("COMMIT")
    return unreadable


def _revive(target: sqlite3.Connection, line: int) -> int:
    """Content without an envelope says for itself whom it is for: it is held, because nobody knows whether it was sent. What came in last has
    its envelope with it, and never had a row.
    """
    revived = 0
    for key, arrival, size in target.execute(_ORPHANS).fetchall():
        row = arrival_of(arrival)
        if row is not None and size and key > line:
            continue
        # It must not pass for one that came in last.
        target.execute("UPDATE payloads SET arrival = NULL WHERE key = ?", (key,))
        if row is not None:
            revived += target.execute(_REVIVED_WHOLE, {**row, "key": key}).rowcount
        elif size:
            revived += _revive_content(target, key)
    return revived


def _revive_content(target: sqlite3.Connection, key: int) -> int:
    (payload,) = target.execute("SELECT payload FROM payloads WHERE key = ?", (key,)).fetchone()
    message = orjson.loads(payload)
    headers = message.get("headers")
    values = {
        "key": key,
        "payload": payload,
        "id": str((headers.get("X-Qboxrelay-Id") if isinstance(headers, dict) else None) or f"rescued-{key}"),
        "recipients": orjson.dumps(
            [address for field in ("to", "cc", "bcc") for address in _addresses(message.get(field))]
        ).decode(),
        "from": next(iter(_addresses(message.get("from"))), ""),
        "subject": str(message.get("subject", "")),
    }
    return target.execute(_REVIVED, values).rowcount


def _complete(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """What follows from the rows that are there."""
    # A key that comes again must not find another's rows.
    target.execute("DELETE FROM attempts WHERE submission NOT IN (SELECT key FROM submissions)")
    target.execute(_FORGET_ORPHANS)
    target.execute(_HOLD_WITHOUT_CONTENT)
    target.execute(_RECOUNT)
    for table, last in salvage.sequences(source).items():
        # Numbers that were given, to requests and to operators' acts, are not given again.
        target.execute("DELETE FROM sqlite_sequence WHERE name = ? AND seq < ?", (table, last))
        target.execute(
            "INSERT INTO sqlite_sequence SELECT :name, :seq WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name)",
            {"name": table, "seq": last},
        )


def _addresses(field: Any) -> list[str]:
    """Addresses of a field of a Send API message, as `intake.compose` writes it."""
    entries = field if isinstance(field, list) else [field]
    return [str(entry.get("address", "") if isinstance(entry, dict) else entry) for entry in entries if entry]
