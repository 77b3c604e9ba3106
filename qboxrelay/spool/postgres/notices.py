"""Who is to be told of what: the marks that recording leaves, and taking them away with the notice that tells.

In: connections, addresses. Out: `Untold`s, times. Never: a mark taken away without its notice in the same commit, whichever node tells.
"""

from collections.abc import Sequence
from datetime import datetime

import orjson

from qboxrelay.spool.port import Untold
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.rows import untold_of
from qboxrelay.spool.times import from_ms, to_ms

Sql = dict[str, str]
_ADDRESSEES = 1000
"""Of one look; the next look finds the others when some of these were told."""


async def addressees(sql: Sql, connection: Connection) -> list[str]:
    """Distinct addresses by one seek each, however much each of them is to be told."""
    found: list[str] = []
    row = await (await connection.execute(sql["first_untold"])).fetchone()
    while row is not None and len(found) < _ADDRESSEES:
        found.append(row["tell"])
        row = await (await connection.execute(sql["next_untold"], {"after": row["tell"]})).fetchone()
    return found


async def untold(sql: Sql, connection: Connection, address: str, limit: int) -> list[Untold]:
    cursor = await connection.execute(sql["untold"], {"tell": address, "limit": limit})
    return [untold_of(row) for row in await cursor.fetchall()]


async def since(
    sql: Sql, connection: Connection, address: str, moment: datetime, now: datetime, limit: int
) -> list[datetime]:
    """A time ahead of now does not count: the clock was set back, and waiting for it would silence the relay."""
    recipients = orjson.dumps([address]).decode()
    values = {"recipients": recipients, "since": to_ms(moment), "now": to_ms(now), "limit": limit}
    cursor = await connection.execute(sql["latest_notices"], values)
    return [from_ms(row["received_at"]) for row in await cursor.fetchall()]


async def mark_told(sql: Sql, connection: Connection, address: str, told: Sequence[Untold]) -> bool:
    """In a transaction. False, and nothing is changed, unless all of them are still to be told of, as what they were. Of several nodes that
    tell at the same time, the others wait here for the first, and then find it done.
    """
    keys = [one.key for one in told]
    cursor = await connection.execute(sql["still_untold"], {"keys": keys, "tell": address})
    found = {row["key"]: row["notice"] for row in await cursor.fetchall()}
    if found != {one.key: one.notice for one in told}:
        return False
    await connection.execute(sql["told"], {"keys": keys})
    return True
