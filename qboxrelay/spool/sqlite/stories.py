"""What operators look at: pages of the queue, whole stories, figures.

In: a connection that cannot write. Out: the queue port's values. Never: content, unless it is asked for by name.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Mapping

import orjson

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Handled, Record
from qboxrelay.spool.queue import Attempt, Content, Overview, Page, Selection, Story, Total
from qboxrelay.spool.sqlite import acts
from qboxrelay.spool.sqlite.reads import find, pauses, record_of
from qboxrelay.spool.sqlite.times import from_ms, to_ms

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
    return Story(
        record=record_of(row),
        transaction_id=row["id"].rpartition("-")[0],
        client_helo=row["client_helo"],
        client_user=row["client_user"],
        listener=row["listener"],
        priority=row["priority"],
        subject=row["subject"],
        message_id_header=row["message_id_header"],
        payload_bytes=row["payload_bytes"],
        has_content=row["content_bytes"] > 0,
        has_raw=bool(row["has_raw"]),
        maybe_sent=bool(row["maybe_sent"]),
        finished_at=None if row["finished_at"] is None else from_ms(row["finished_at"]),
        submitted_at=row["submitted_at"],
        suppression=row["suppression"],
        is_notice=bool(row["is_notice"]),
        notice=row["notice"],
        tell=row["tell"],
        sender_rule=row["sender_rule"],
        domain_state=row["domain_state"],
        stored_at=None if row["stored_at"] is None else from_ms(row["stored_at"]),
        attempts=tuple(_attempt(one) for one in connection.execute(sql["attempts_of"], {"key": row["key"]})),
        handled=tuple(_handled(sql, connection, row)),
    )


def _handled(sql: Sql, connection: sqlite3.Connection, row: sqlite3.Row) -> list[Handled]:
    until = _NEWEST if row["finished_at"] is None else row["finished_at"]
    found = acts.on(sql, connection, row["id"])
    found += acts.during(sql, connection, row["account"], row["received_at"], until)
    return sorted(found, key=lambda one: one.at)


def content(sql: Sql, connection: sqlite3.Connection, id_: str) -> Content | None:
    row = connection.execute(sql["content_of"], {"id": id_}).fetchone()
    if row is None or not (row["payload"] or row["raw"]):
        return None
    return Content(payload=bytes(row["payload"]), raw=None if row["raw"] is None else bytes(row["raw"]))


def overview(sql: Sql, connection: sqlite3.Connection) -> Overview:
    rows = connection.execute(sql["depth"]).fetchall()
    totals = [Total(account=a, state=State(s), messages=m, bytes=b) for a, s, m, b in map(tuple, rows) if m]
    oldest = {}
    for state in State:
        row = connection.execute(sql["oldest_in_state"], {"state": state}).fetchone()
        if row is not None:
            oldest[state] = from_ms(row[0])
    return Overview(totals=tuple(totals), oldest=oldest, pauses=tuple(pauses(sql, connection)))


def _attempt(row: sqlite3.Row) -> Attempt:
    """An attempt outlives the note of its request, which goes by its own end."""
    return Attempt(
        number=row["number"],
        started_at=None if row["started_at"] is None else from_ms(row["started_at"]),
        ended_at=None if row["ended_at"] is None else from_ms(row["ended_at"]),
        outcome=row["outcome"],
        reason=row["reason"] or "",
        text=row["text"] or row["request_text"] or "",
        messages=row["messages"] or 0,
        status=row["status"],
        request_id=row["request_id"],
        error=row["error"],
        connect_seconds=row["connect_seconds"],
        answer_seconds=row["answer_seconds"],
    )
