"""What operators look at: pages of the queue, whole stories, figures.

In: a connection that cannot write. Out: the queue port's values. Never: content, unless it is asked for by name.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import orjson

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Handled, Record
from qboxrelay.spool.queue import Content, Overview, Page, Selection, Story, Total
from qboxrelay.spool.rows import Row, attempt_of, content_of, record_of, story_of, total_of
from qboxrelay.spool.sqlite import acts
from qboxrelay.spool.sqlite.fresh import shown
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
        if self._state is State.QUEUED:
            yield from [
                record_of(row) for row in reversed(shown(self._sql, self._connection)) if row["key"] < self._before
            ]
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
    fresh: list[Row] = [
        row for row in reversed(shown(sql, connection)) if _names(row, bare, quoted if "@" in text else None)
    ]
    names = [
        "traced_request",
        "traced_message_id",
        "traced_message_id_header",
        *(["traced_recipient"] if "@" in text else []),
    ]
    rows = [row for name in names for row in connection.execute(sql[name], values)]
    keys = sorted({row[0] for row in rows}, reverse=True)[:limit]
    fresh += connection.execute(sql["records"], {"keys": orjson.dumps(keys).decode()}).fetchall()
    return [record_of(row) for row in fresh[:limit]]


def _names(row: Row, bare: str, quoted: str | None) -> bool:
    """Whether this is its Message-ID or one of its recipients."""
    return row["message_id_header"] in (bare, f"<{bare}>") or (
        quoted is not None and quoted in _lower(row["recipients"])
    )


def _lower(text: str) -> str:
    """As SQLite does it: ASCII letters only."""
    return text.encode().lower().decode()


def story(sql: Sql, connection: sqlite3.Connection, id_: str) -> Story | None:
    row: Row | None = connection.execute(sql["story"], {"id": id_}).fetchone() or _fresh(sql, connection, id_)
    if row is None:
        return None
    attempts = [attempt_of(one) for one in connection.execute(sql["attempts_of"], {"key": row["key"]})]
    return story_of(row, attempts, _handled(sql, connection, row))


def _fresh(sql: Sql, connection: sqlite3.Connection, id_: str) -> Row | None:
    return next((row for row in shown(sql, connection, id_) if row["id"] == id_), None)


def _handled(sql: Sql, connection: sqlite3.Connection, row: Row) -> list[Handled]:
    until = _NEWEST if row["finished_at"] is None else row["finished_at"]
    found = acts.on(sql, connection, row["id"])
    found += acts.during(sql, connection, row["account"], row["received_at"], until)
    return found


def content(sql: Sql, connection: sqlite3.Connection, id_: str) -> Content | None:
    row = connection.execute(sql["content_of"], {"id": id_}).fetchone()
    if row is None and (fresh := _fresh(sql, connection, id_)) is not None:
        row = connection.execute(sql["content_of_key"], {"key": fresh["key"]}).fetchone()
    return content_of(row)


def overview(sql: Sql, connection: sqlite3.Connection) -> Overview:
    rows = connection.execute(sql["depth"]).fetchall()
    fresh = shown(sql, connection)
    totals = _totals([*rows, *({**one, "messages": 1, "bytes": one["payload_bytes"]} for one in fresh)])
    oldest = {State.QUEUED: from_ms(fresh[0]["received_at"])} if fresh else {}
    for state in State:
        row = connection.execute(sql["oldest_in_state"], {"state": state}).fetchone()
        if row is not None:
            oldest[state] = from_ms(row[0])
    return Overview(totals=totals, oldest=oldest, pauses=tuple(pauses(sql, connection)))


def _totals(rows: Sequence[Row]) -> tuple[Total, ...]:
    found: dict[tuple[str, str], Total] = {}
    for row in rows:
        total, key = total_of(row), (row["account"], row["state"])
        before = found.get(key)
        found[key] = (
            total
            if before is None
            else replace(before, messages=before.messages + total.messages, bytes=before.bytes + total.bytes)
        )
    return tuple(total for _, total in sorted(found.items()) if total.messages)
