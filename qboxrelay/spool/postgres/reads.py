"""Reading the trail: by id, by state, and what operators want nothing to be sent of.

In: ids, states. Out: `Record`s, pauses. Never: content, unless a caller asks for it by name.
"""

from collections.abc import Mapping

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Pause, Record
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.rows import pause_of, record_of

Sql = dict[str, str]
_INDEXED_BYTES = 1000
"""Of one text; an entry of several columns may have 2700."""


def storable(text: str) -> str:
    """No text of the database holds NUL or half a character: what somebody looks for may."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def fitting(text: str) -> str:
    """No more than an index holds: a mail with a Message-ID of pages must not be refused for ever, nor an answer with one be recorded never."""
    return text if len(text) <= _INDEXED_BYTES // 4 else text.encode()[:_INDEXED_BYTES].decode(errors="ignore")


async def find(sql: Sql, connection: Connection, id_: str) -> list[Record]:
    return await _records(sql["find"], connection, {"id": storable(id_)})


async def latest(sql: Sql, connection: Connection, state: State | None, limit: int) -> list[Record]:
    values = {"state": state and state.value, "limit": limit}
    if state is None:
        return await _records(sql["latest"], connection, values)
    return await _records(sql["latest_in_state"], connection, values)


async def paused(sql: Sql, connection: Connection, account: str) -> bool:
    """Whether an operator wants nothing of the account to be sent."""
    cursor = await connection.execute(sql["paused"], {"account": account})
    row = await cursor.fetchone()
    return row is not None and bool(row["paused"])


async def pauses(sql: Sql, connection: Connection) -> list[Pause]:
    return [pause_of(row) for row in await (await connection.execute(sql["pauses"])).fetchall()]


async def _records(statement: str, connection: Connection, values: Mapping[str, object]) -> list[Record]:
    return [record_of(row) for row in await (await connection.execute(statement, values)).fetchall()]
