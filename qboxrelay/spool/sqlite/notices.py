"""Who is to be told of what: the marks that recording leaves, and taking them away with the notice that tells.

In: connections, addresses. Out: `Untold`s, times. Never: a mark taken away without its notice in the same commit.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from qboxrelay.model.submission import NoticeKind
from qboxrelay.spool.port import Untold
from qboxrelay.spool.rows import untold_of
from qboxrelay.spool.sqlite.fresh import shown
from qboxrelay.spool.times import from_ms, to_ms

Sql = dict[str, str]
_ADDRESSEES = 1000
"""Of one look; the next look finds the others when some of these were told."""


def addressees(sql: Sql, connection: sqlite3.Connection) -> list[str]:
    """Distinct addresses by one seek each, however much each of them is to be told."""
    found: list[str] = []
    row = connection.execute(sql["first_untold"]).fetchone()
    while row is not None and len(found) < _ADDRESSEES:
        found.append(row[0])
        row = connection.execute(sql["next_untold"], {"after": row[0]}).fetchone()
    return found


def untold(sql: Sql, connection: sqlite3.Connection, address: str, limit: int) -> list[Untold]:
    return [untold_of(row) for row in connection.execute(sql["untold"], {"tell": address, "limit": limit})]


def since(
    sql: Sql, connection: sqlite3.Connection, address: str, moment: datetime, now: datetime, limit: int
) -> list[datetime]:
    """A time ahead of now does not count: the clock was set back, and waiting for it would silence the relay."""
    recipients = orjson.dumps([address]).decode()
    values: dict[str, Any] = {"recipients": recipients, "since": to_ms(moment), "now": to_ms(now), "limit": limit}
    found = [received for (received,) in connection.execute(sql["latest_notices"], values)]
    found += [
        row["received_at"]
        for row in shown(sql, connection, recipients)
        if row["is_notice"]
        and row["recipients"] == recipients
        and values["since"] < row["received_at"] <= values["now"]
    ]
    return [from_ms(received) for received in sorted(found)[:limit]]


def mark_told(sql: Sql, connection: sqlite3.Connection, address: str, told: Sequence[Untold]) -> bool:
    """False, and nothing is changed, unless all of them are still to be told of, as what they were."""
    for kind in NoticeKind:
        keys = [one.key for one in told if one.notice is kind]
        values = {"keys": orjson.dumps(keys).decode(), "tell": address, "notice": kind}
        if connection.execute(sql["still_untold"], values).fetchone()[0] != len(keys):
            return False
    connection.execute(sql["told"], {"keys": orjson.dumps([one.key for one in told]).decode()})
    return True
