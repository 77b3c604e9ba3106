"""What operators look at: pages of the queue, whole stories, figures.

In: a connection that cannot write. Out: the queue port's values. Never: content, unless it is asked for by name.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Mapping

import orjson

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Handled, Record
from qboxrelay.spool.queue import Content, Overview, Page, Selection, Story
from qboxrelay.spool.rows import attempt_of, content_of, record_of, story_of, total_of
from qboxrelay.spool.sqlite import acts
from qboxrelay.spool.sqlite.reads import find, pauses
from qboxrelay.spool.times import from_ms, to_ms

Sql = dict[str, str]
_ROWS = 500
_NEWEST = 2**62


def select(
    sql: Sql, connection: sqlite3.Connection, selection: Selection, *, before: int | None, limit: int, look: int
) -> Page:
    """Of each state so many are looked at; where one ends early, the page ends where all have been looked at."""
    start = before or _NEWEST
    narrow = _narrowing(selection)
    lines = [_Line(sql, connection, state, start, look, narrow) for state in sorted(selection.states)]
    merged = heapq.merge(*lines, key=lambda record: -record.key)
    found: list[Record] = []
    for record in merged:
        if len(found) == limit:
            return Page(records=tuple(found), next=found[-1].key)
        if any(line.cut_at is not None and record.key < line.cut_at for line in lines):
            break
        if selection.matches(record):
            found.append(record)
    cuts = [line.cut_at for line in lines if line.cut_at is not None]
    return Page(records=tuple(found), next=max(cuts, default=None))


class _Line:
    """The submissions of one state, newest first, in stretches. `cut_at`: the last one looked at, when there are more."""

    def __init__(
        self,
        sql: Sql,
        connection: sqlite3.Connection,
        state: State,
        before: int,
        look: int,
        narrow: Mapping[str, object],
    ) -> None:
        self._sql = sql
        self._connection = connection
        self._state = state
        self._before = before
        self._look = look
        self._narrow = narrow
        self.cut_at: int | None = None

    def __iter__(self) -> Iterator[Record]:
        for _ in range(0, self._look, _ROWS):
            where = {"state": self._state, "before": self._before, "rows": _ROWS - 1}
            last = self._connection.execute(self._sql["stretch_in_state"], where).fetchone()
            values = {**self._narrow, **where, "last": last[0] if last else 0}
            yield from map(record_of, self._connection.execute(self._sql["page_in_state"], values).fetchall())
            if last is None:
                return
            self._before = last[0]
        self.cut_at = self._before


def _narrowing(selection: Selection) -> dict[str, object]:
    """What the database can leave out already; `Selection.matches` has the last word. SQLite folds the case of ASCII letters only, and
    JSON writes quotes in another way: such texts narrow nothing here.
    """
    named = selection.address or (f"@{selection.domain}" if selection.domain else "")
    texts = {"client": selection.client, "error": selection.error, "named": named}
    before, after = selection.received_before, selection.received_after
    return {
        "account": selection.account,
        "received_before": _NEWEST if before is None else to_ms(before),
        "received_after": -_NEWEST if after is None else to_ms(after),
        **{
            name: text.lower() if text.isascii() and not set(text) & {'"', "\\"} else "" for name, text in texts.items()
        },
    }


def trace(sql: Sql, connection: sqlite3.Connection, text: str, limit: int) -> list[Record]:
    if found := find(sql, connection, text):
        return found[-limit:][::-1]
    bare = text.removeprefix("<").removesuffix(">")
    # SQLite folds the case of ASCII letters only.
    quoted = orjson.dumps(text.encode(errors="replace").lower().decode()).decode()
    values = {"text": bare, "quoted": quoted, "limit": limit}
    names = [
        # Before the indexes: what takes its place there meanwhile is found then.
        "traced_fresh",
        "traced_request",
        "traced_message_id",
        "traced_message_id_header",
        *(["traced_recipient"] if "@" in text else []),
    ]
    rows = [row for name in names for row in connection.execute(sql[name], values)]
    keys = sorted({row[0] for row in rows}, reverse=True)[:limit]
    return [record_of(row) for row in connection.execute(sql["records"], {"keys": orjson.dumps(keys).decode()})]


def story(sql: Sql, connection: sqlite3.Connection, id_: str) -> Story | None:
    row = connection.execute(sql["story"], {"id": id_}).fetchone()
    if row is None:
        return None
    attempts = [attempt_of(one) for one in connection.execute(sql["attempts_of"], {"key": row["key"]})]
    return story_of(row, attempts, _handled(sql, connection, row))


def _handled(sql: Sql, connection: sqlite3.Connection, row: sqlite3.Row) -> list[Handled]:
    until = _NEWEST if row["finished_at"] is None else row["finished_at"]
    found = acts.on(sql, connection, row["id"])
    found += acts.during(sql, connection, row["account"], row["received_at"], until)
    return found


def content(sql: Sql, connection: sqlite3.Connection, id_: str) -> Content | None:
    return content_of(connection.execute(sql["content_of"], {"id": id_}).fetchone())


def overview(sql: Sql, connection: sqlite3.Connection) -> Overview:
    rows = connection.execute(sql["depth"]).fetchall()
    totals = [total_of(row) for row in rows if row["messages"]]
    oldest = {}
    for state in State:
        row = connection.execute(sql["oldest_in_state"], {"state": state}).fetchone()
        if row is not None:
            oldest[state] = from_ms(row[0])
    return Overview(totals=tuple(totals), oldest=oldest, pauses=tuple(pauses(sql, connection)))
