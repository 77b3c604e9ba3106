"""What operators do by hand, in one transaction with the figures and the note of who did it.

In: ids and an act. Out: moved rows, `Done`s, notes. Never: a touch of what is under way, or a retry of what has no content any more.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import orjson

from qboxrelay.model.submission import State
from qboxrelay.spool.acting import BECOMES, FOLLOWED_AT_ONCE, MARK, NOT_THERE, refusal
from qboxrelay.spool.port import Handled
from qboxrelay.spool.queue import Act, Done
from qboxrelay.spool.rows import handled_of
from qboxrelay.spool.sqlite import facts
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.times import to_ms

Sql = dict[str, str]
_STATEMENTS = {
    Act.RETRY: ("requeue",),
    Act.RELEASE: ("requeue",),
    Act.HOLD: ("hold",),
    Act.DELETE: ("delete_payloads", "delete_attempts", "delete_submissions"),
}


def act(sql: Sql, transaction: Transaction, what: Act, ids: Sequence[str], *, by: str, now: datetime) -> list[Done]:
    """In the order of the ids."""
    values = {"ids": orjson.dumps(list(dict.fromkeys(ids))).decode()}
    rows = {row[1]: row for row in transaction.connection.execute(sql["acted_on"], values)}
    done: list[Done] = []
    moved: list[int] = []
    for id_ in dict.fromkeys(ids):
        if id_ not in rows:
            done.append(Done(id=id_, refused=NOT_THERE))
            continue
        key, _, account, state, size, content = rows[id_]
        refused = refusal(what, State(state), has_content=content > 0)
        done.append(Done(id=id_, before=State(state), refused=refused))
        if not refused:
            moved.append(key)
            _count(transaction, what, account, State(state), size)
            write_down(
                sql, transaction.connection, what, by=by, now=now, key=key, id_=id_, account=account, before=state
            )
    if moved:
        keys = {"keys": orjson.dumps(moved).decode(), "now": to_ms(now)}
        for name in _STATEMENTS[what]:
            transaction.connection.execute(sql[name], keys)
    return done


def write_down(
    sql: Sql,
    connection: sqlite3.Connection,
    what: str,
    *,
    by: str,
    now: datetime,
    account: str,
    key: int = 0,
    id_: str = "",
    before: str = "",
) -> None:
    values = {
        "act": str(what), "by": by, "now": to_ms(now), "account": account, "key": key, "id": id_, "before": str(before),
    }  # fmt: skip
    connection.execute(sql["insert_act"], values)


class Followed:
    """How far a relay has followed the acts. It is kept in the spool, so that what was done while no relay ran is told of by the next one."""

    def __init__(self, sql: Sql, connection: sqlite3.Connection) -> None:
        self._sql = sql
        kept = facts.recall(sql, connection, MARK, 0)
        self._last = self._marked = int(kept.value) if kept is not None else 0

    @property
    def unmarked(self) -> bool:
        return self._last != self._marked

    def next(self, connection: sqlite3.Connection) -> list[tuple[int, Handled]]:
        return since(self._sql, connection, self._last)

    def took(self, found: list[tuple[int, Handled]]) -> None:
        self._last = found[-1][0]

    def mark(self, transaction: Transaction) -> None:
        facts.remember(self._sql, transaction.connection, MARK, str(self._last).encode())

    def marked(self) -> None:
        """That is committed."""
        self._marked = self._last


def since(sql: Sql, connection: sqlite3.Connection, after: int) -> list[tuple[int, Handled]]:
    """What was written down later, each with its number."""
    values = {"after": after, "limit": FOLLOWED_AT_ONCE}
    return [(row["key"], handled_of(row)) for row in connection.execute(sql["acts_since"], values)]


def on(sql: Sql, connection: sqlite3.Connection, id_: str) -> list[Handled]:
    """About a transaction or a submission, the oldest first."""
    rows = connection.execute(sql["acts_on"], {"id": id_}).fetchall()
    return [handled_of(row) for row in sorted(rows, key=lambda row: (row["at"], row["key"]))]


def during(sql: Sql, connection: sqlite3.Connection, account: str, since: int, until: int) -> list[Handled]:
    """Pauses of an account, or of all, and their ends; times in milliseconds since 1970."""
    values = {"account": account, "since": since, "until": until}
    return [handled_of(row) for row in connection.execute(sql["acts_on_account"], values)]


def _count(transaction: Transaction, what: Act, account: str, before: State, size: int) -> None:
    if what is Act.DELETE:
        transaction.count(account, before, -1, -size)
    else:
        transaction.move(account, before, BECOMES[what], 1, size)
