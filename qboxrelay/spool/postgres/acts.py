"""What operators do by hand, in one transaction with the figures and the note of who did it; and following it from every node.

In: ids and an act. Out: moved rows, `Done`s, notes. Never: a touch of what is under way, or a retry of what has no content any more.

Each node follows the acts by their numbers, in memory, and tells its own log and lanes. How far the first of them came is kept in the spool,
and a node that starts begins there: what was done while none ran is told by the next one. So each act stands in the log of every node that ran
then, and of one at least.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg.rows import DictRow

from qboxrelay.model.submission import State
from qboxrelay.spool.acting import BECOMES, FOLLOWED_AT_ONCE, MARK, NOT_THERE, refusal
from qboxrelay.spool.port import Handled
from qboxrelay.spool.postgres import facts
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.reads import Sql, storable
from qboxrelay.spool.postgres.wakeups import ACTS
from qboxrelay.spool.queue import Act, Done
from qboxrelay.spool.rows import handled_of
from qboxrelay.spool.times import to_ms

_STATEMENTS = {Act.RETRY: "requeue", Act.RELEASE: "requeue", Act.HOLD: "hold", Act.DELETE: "erase"}


async def act(sql: Sql, connection: Connection, what: Act, ids: Sequence[str], *, by: str, now: datetime) -> list[Done]:
    """In a transaction; answers in the order of the ids."""
    await connection.execute(sql["acting"])
    asked = {id_: storable(id_) for id_ in ids}
    cursor = await connection.execute(sql["acted_on"], {"ids": list(asked.values())})
    rows = {row["id"]: row for row in await cursor.fetchall()}
    keys = [row["key"] for row in rows.values()]
    cursor = await connection.execute(sql["with_content"], {"keys": keys})
    with_content = {row["key"] for row in await cursor.fetchall()}
    cursor = await connection.execute(sql["not_acted_on"], {"ids": [one for one in asked.values() if one not in rows]})
    sending = {row["id"] for row in await cursor.fetchall()}
    done = [_done(what, id_, rows.get(known), with_content, sending) for id_, known in asked.items()]
    moved = [rows[asked[one.id]] for one in done if not one.refused]
    if moved:
        await connection.execute(sql[_STATEMENTS[what]], {"keys": [row["key"] for row in moved], "now": to_ms(now)})
        await count(sql, connection, _changes(what, moved))
        await _write_down(sql, connection, what.value, by=by, now=now, about=moved)
    return done


def _done(what: Act, id_: str, row: DictRow | None, with_content: set[int], sending: set[str]) -> Done:
    if row is None and id_ not in sending:
        return Done(id=id_, refused=NOT_THERE)
    state = State.SENDING if row is None else State(row["state"])
    has_content = row is not None and row["key"] in with_content
    return Done(id=id_, before=state, refused=refusal(what, state, has_content=has_content))


def _changes(what: Act, moved: Sequence[DictRow]) -> dict[tuple[str, str], tuple[int, int]]:
    """Messages and bytes by account and state."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in moved:
        steps = [(row["state"], -1)] + ([(BECOMES[what].value, 1)] if what is not Act.DELETE else [])
        for state, step in steps:
            messages, size = found.get((row["account"], state), (0, 0))
            found[row["account"], state] = (messages + step, size + step * row["payload_bytes"])
    return found


async def count(sql: Sql, connection: Connection, changes: Mapping[tuple[str, str], tuple[int, int]]) -> None:
    """The figures, in the same commit; by account and state."""
    values = {
        "accounts": [account for account, _ in changes],
        "states": [state for _, state in changes],
        "messages": [messages for messages, _ in changes.values()],
        "bytes": [size for _, size in changes.values()],
    }
    await connection.execute(sql["add_depth"], values)


async def switch(
    sql: Sql, connection: Connection, what: str, account: str, *, by: str, now: datetime, values: dict[str, object]
) -> bool:
    """Pause or resume, in a transaction. False when it was so before."""
    await connection.execute(sql["acting"])
    cursor = await connection.execute(sql[what], {**values, "account": storable(account), "by": storable(by)})
    if cursor.rowcount < 1:
        return False
    about = [{"key": 0, "id": "", "account": account, "state": ""}]
    await _write_down(sql, connection, what, by=by, now=now, about=about)
    return True


async def _write_down(
    sql: Sql, connection: Connection, what: str, *, by: str, now: datetime, about: Sequence[Mapping[str, object]]
) -> None:
    values: dict[str, object] = {"act": what, "by": storable(by), "now": to_ms(now)}
    for name, column in (("keys", "key"), ("ids", "id"), ("accounts", "account"), ("before", "state")):
        values[name] = [row[column] for row in about]
    await connection.execute(sql["insert_acts"], values)
    await connection.execute(sql["tell_of_acts"], {"text": ACTS})


class Followed:
    """How far this node has followed the acts. What is done after it has begun is seen by it; `mark` says to later ones that it was told."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._last = self._marked = 0

    async def begin(self, connection: Connection) -> None:
        kept = await facts.recall(self._sql, connection, MARK, 0)
        self._last = self._marked = int(kept.value) if kept is not None else 0

    @property
    def unmarked(self) -> bool:
        return self._last != self._marked

    async def next(self, connection: Connection) -> list[tuple[int, Handled]]:
        """What came since `took`, the oldest first, each with its number."""
        values = {"after": self._last, "limit": FOLLOWED_AT_ONCE}
        rows = await (await connection.execute(self._sql["acts_since"], values)).fetchall()
        return [(row["key"], handled_of(row)) for row in rows]

    def took(self, found: Sequence[tuple[int, Handled]]) -> None:
        self._last = found[-1][0]

    async def mark(self, connection: Connection) -> None:
        """What was taken is told of."""
        last = self._last
        await connection.execute(self._sql["move_mark"], {"name": MARK, "mark": last})
        self._marked = last


async def on(sql: Sql, connection: Connection, id_: str) -> list[Handled]:
    """About a transaction or a submission, the oldest first."""
    cursor = await connection.execute(sql["acts_on"], {"id": storable(id_)})
    return [handled_of(row) for row in await cursor.fetchall()]


async def during(sql: Sql, connection: Connection, account: str, since: int, until: int) -> list[Handled]:
    """Pauses of an account, or of all, and their ends; times in milliseconds since 1970."""
    cursor = await connection.execute(sql["acts_on_account"], {"account": account, "since": since, "until": until})
    return [handled_of(row) for row in await cursor.fetchall()]
