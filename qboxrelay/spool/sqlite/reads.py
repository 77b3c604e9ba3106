"""Reading the trail, on the connection that cannot write.

In: ids, states. Out: `Record`s and figures. Never: content, unless a caller asks for it by name.
"""

import sqlite3
from datetime import datetime, timedelta

from qboxrelay.model.submission import State
from qboxrelay.spool.overdue import PAGE, PAGES, Overdue
from qboxrelay.spool.port import Pause, Record
from qboxrelay.spool.rows import Row, pause_of, record_of
from qboxrelay.spool.sqlite.fresh import shown
from qboxrelay.spool.times import from_ms, to_ms


def find(sql: dict[str, str], connection: sqlite3.Connection, id_: str) -> list[Record]:
    rows: list[Row] = connection.execute(sql["find"], {"id": id_}).fetchall()
    rows += [row for row in shown(sql, connection, id_) if row["id"] == id_ or row["id"].startswith(f"{id_}-")]
    return [record_of(row) for row in rows]


def latest(sql: dict[str, str], connection: sqlite3.Connection, state: State | None, limit: int) -> list[Record]:
    statement = sql["latest"] if state is None else sql["latest_in_state"]
    rows: list[Row] = [*reversed(shown(sql, connection))] if state in (None, State.QUEUED) else []
    rows += connection.execute(statement, {"state": state, "limit": limit}).fetchall()
    return [record_of(row) for row in rows[:limit]]


def paused(sql: dict[str, str], connection: sqlite3.Connection, account: str) -> bool:
    """Whether an operator wants nothing of the account to be sent."""
    return connection.execute(sql["paused"], {"account": account}).fetchone() is not None


def pauses(sql: dict[str, str], connection: sqlite3.Connection) -> list[Pause]:
    return [pause_of(row) for row in connection.execute(sql["pauses"])]


def next_due(
    sql: dict[str, str],
    connection: sqlite3.Connection,
    account: str,
    now: datetime,
    horizon: timedelta,
    *,
    fresh: bool,
) -> datetime | None:
    """When something waits for the account: now, or when its time comes. A time beyond the horizon has come (see `claim`). `fresh`: whether
    something came in just now.
    """
    if paused(sql, connection, account):
        return None
    if fresh or connection.execute(sql["first_ready"], {"account": account}).fetchone():
        return now
    due = connection.execute(sql["next_due"], {"account": account}).fetchone()[0]
    if due is None:
        return None
    return now if due > to_ms(now + horizon) else from_ms(due)


def overdue(
    sql: dict[str, str], connection: sqlite3.Connection, account: str, received_before: datetime, most: tuple[int, int]
) -> list[int]:
    """Keys of the account's queued submissions that were received before, as many as `most` messages and bytes hold. Keys are in order of
    arrival: behind a page without any that old, of whatever account, there is none worth looking for.
    """
    if paused(sql, connection, account):
        return []
    found = Overdue(account, received_before, most)
    for _ in range(PAGES):
        if not found.look(connection.execute(sql["queued_from"], {"after": found.after, "limit": PAGE}).fetchall()):
            break
    return found.keys
