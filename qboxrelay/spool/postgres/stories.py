"""What operators look at, of all nodes: pages of the queue, whole stories, figures.

In: a connection. Out: the queue port's values. Never: content, unless it is asked for by name; a page that reads all of a long history.
"""

from collections.abc import Mapping

import orjson

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Handled, Record
from qboxrelay.spool.postgres import acts
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.reads import Sql, find, pauses, storable
from qboxrelay.spool.queue import Content, Overview, Page, Selection, Story
from qboxrelay.spool.rows import attempt_of, content_of, record_of, story_of, total_of
from qboxrelay.spool.times import from_ms, to_ms

_ROWS = 500
_NEWEST = 2**62


async def select(
    sql: Sql, connection: Connection, selection: Selection, *, before: int | None, limit: int, look: int
) -> Page:
    """In stretches, each down to the key where none of the states has more than so many rows."""
    values: dict[str, object] = {**_narrowing(selection), "before": before or _NEWEST, "skip": _ROWS - 1}
    found: list[Record] = []
    for _ in range(0, look, _ROWS):
        floor = await _floor(sql, connection, values)
        rows = await (await connection.execute(sql["page"], {**values, "last": floor})).fetchall()
        found += [record for record in map(record_of, rows) if selection.matches(record)]
        if len(found) > limit:
            return Page(records=tuple(found[:limit]), next=found[limit - 1].key)
        if not floor:
            return Page(records=tuple(found), next=None)
        values["before"] = floor
    return Page(records=tuple(found), next=floor)


async def _floor(sql: Sql, connection: Connection, values: Mapping[str, object]) -> int:
    """0 where everything below is looked at."""
    row = await (await connection.execute(sql["page_floor"], values)).fetchone()
    return 0 if row is None or row["key"] is None else int(row["key"])


def _narrowing(selection: Selection) -> dict[str, object]:
    """What the database can leave out already; `Selection.matches` has the last word. It folds the case of ASCII letters only, as asked for,
    and JSON writes quotes in another way: such texts narrow nothing here.
    """
    named = selection.address or (f"@{selection.domain}" if selection.domain else "")
    texts = {"client": selection.client, "error": selection.error, "named": named}
    before, after = selection.received_before, selection.received_after
    return {
        "states": sorted(state.value for state in selection.states),
        "account": storable(selection.account),
        "received_before": _NEWEST if before is None else to_ms(before),
        "received_after": -_NEWEST if after is None else to_ms(after),
        **{name: text.lower() if text.isascii() and not set(text) & _UNLIKE else "" for name, text in texts.items()},
    }


_UNLIKE = {'"', "\\", "\0"}


async def trace(sql: Sql, connection: Connection, text: str, limit: int) -> list[Record]:
    if found := await find(sql, connection, text):
        return found[-limit:][::-1]
    known = storable(text)
    quoted = orjson.dumps(known.encode().lower().decode()).decode()
    values: dict[str, object] = {"text": known.removeprefix("<").removesuffix(">"), "quoted": quoted, "limit": limit}
    keys = {row["key"] for row in await (await connection.execute(sql["traced"], values)).fetchall()}
    if "@" in text:
        keys.update(await _to_recipient(sql, connection, values, limit))
    values = {"keys": sorted(keys, reverse=True)[:limit]}
    return [record_of(row) for row in await (await connection.execute(sql["records_of"], values)).fetchall()]


async def _to_recipient(sql: Sql, connection: Connection, values: Mapping[str, object], limit: int) -> list[int]:
    """Keys, the newest first: of the newest part, then of twice as many each time. Who gets much of the mail is found in the first of them."""
    row = await (await connection.execute(sql["parts"])).fetchone()
    found: list[int] = []
    if row is None or row["last"] is None:
        return found
    last, width = row["last"], 1
    while last >= row["first"] and len(found) < limit:
        some = {**values, "first": max(row["first"], last - width + 1), "last": last}
        found += [one["key"] for one in await (await connection.execute(sql["traced_recipient"], some)).fetchall()]
        last, width = last - width, 2 * width
    return found


async def story(sql: Sql, connection: Connection, id_: str) -> Story | None:
    row = await (await connection.execute(sql["story"], {"id": storable(id_)})).fetchone()
    if row is None:
        return None
    rows = await (await connection.execute(sql["attempts_of"], {"key": row["key"]})).fetchall()
    until = _NEWEST if row["finished_at"] is None else row["finished_at"]
    handled: list[Handled] = await acts.on(sql, connection, row["id"])
    handled += await acts.during(sql, connection, row["account"], row["received_at"], until)
    return story_of(row, [attempt_of(one) for one in rows], handled)


async def content(sql: Sql, connection: Connection, id_: str) -> Content | None:
    return content_of(await (await connection.execute(sql["content_of"], {"id": storable(id_)})).fetchone())


async def overview(sql: Sql, connection: Connection) -> Overview:
    totals = await (await connection.execute(sql["totals"])).fetchall()
    oldest = await (await connection.execute(sql["oldest_in_states"])).fetchall()
    return Overview(
        totals=tuple(total_of(row) for row in totals),
        oldest={State(row["state"]): from_ms(row["received_at"]) for row in oldest},
        pauses=tuple(await pauses(sql, connection)),
    )
