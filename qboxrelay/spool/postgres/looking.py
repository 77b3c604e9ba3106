"""Looking at what waits: how much, since when, and when the next is due.

In: connections, accounts. Out: figures, times, keys. Never: a look at every row, however many wait.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from qboxrelay.model.submission import State
from qboxrelay.spool.overdue import PAGE, PAGES, Overdue
from qboxrelay.spool.port import AccountDepth, Depth
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.usage import WAITING
from qboxrelay.spool.times import from_ms, to_ms

Sql = dict[str, str]
Key = tuple[str, str]
"""Account and state."""
Counts = Mapping[Key, tuple[int, int]]
"""Messages and bytes."""

_LOOKS = (100, 10_000)
"""Rows from which the oldest of each account are found: nearly always the first few hold all of them."""


async def counts(sql: Sql, connection: Connection) -> Counts:
    rows = await (await connection.execute(sql["depth"])).fetchall()
    return {(row["account"], row["state"]): (row["messages"], row["bytes"]) for row in rows}


async def waiting(sql: Sql, connection: Connection) -> tuple[int, int]:
    """Messages and bytes that the limits count."""
    found = [entry for (_, state), entry in (await counts(sql, connection)).items() if state in WAITING]
    return sum(messages for messages, _ in found), sum(size for _, size in found)


async def depth(sql: Sql, connection: Connection) -> Depth:
    counted = await counts(sql, connection)
    wanted = {key for key, (messages, _) in counted.items() if key[1] in WAITING and messages > 0}
    oldest = await _oldest(sql, connection, wanted)
    return Depth(
        messages=_by_state(counted, 0),
        bytes=_by_state(counted, 1),
        oldest_queued_at=min((at for (_, state), at in oldest.items() if state == State.QUEUED), default=None),
        accounts=tuple(
            AccountDepth(
                account=account,
                state=State(state),
                messages=messages,
                bytes=size,
                oldest_at=oldest.get((account, state)),
            )
            for (account, state), (messages, size) in sorted(counted.items())
        ),
    )


async def next_due(
    sql: Sql,
    connection: Connection,
    account: str,
    *,
    now: datetime,
    server_now: int | None,
    horizon: timedelta,
    leases_end: timedelta,
) -> datetime | None:
    """When something waits for the account: now, or when its time comes, or a lease of any node runs out, of which none is ended before
    `leases_end` from now. A time beyond the horizon has come.
    """
    row = await (await connection.execute(sql["next_due"], {"account": account, "server": server_now})).fetchone()
    assert row is not None
    times: list[datetime] = []
    if row["leased_for"] is not None:
        left = timedelta(milliseconds=row["leased_for"])
        times.append(now + max(left, leases_end))
    if row["ready"] and not row["paused"]:
        times.append(now)
    if row["due"] is not None and not row["paused"]:
        times.append(now if row["due"] > to_ms(now + horizon) else from_ms(row["due"]))
    return min(times, default=None)


async def overdue(
    sql: Sql, connection: Connection, account: str, received_before: datetime, most: tuple[int, int]
) -> list[int]:
    """Keys of the account's queued submissions that were received before, as many as `most` messages and bytes hold. Keys are in order of
    arrival: behind a page without any that old, of whatever account, there is none worth looking for.
    """
    found = Overdue(account, received_before, most)
    for _ in range(PAGES):
        cursor = await connection.execute(sql["overdue"], {"after": found.after, "limit": PAGE})
        if not found.look(await cursor.fetchall()):
            break
    return found.keys


async def work_for(
    sql: Sql, connection: Connection, accounts: Sequence[str], *, now: datetime, server_now: int | None
) -> list[str]:
    """Those of the accounts that have something to claim."""
    values = {"accounts": list(accounts), "now": to_ms(now), "server": server_now}
    return [row["account"] for row in await (await connection.execute(sql["work_for"], values)).fetchall()]


async def _oldest(sql: Sql, connection: Connection, wanted: set[Key]) -> dict[Key, datetime]:
    """By account and state. Whose were not among the first rows gets the time of the last row: its oldest came after that."""
    firsts: dict[Key, datetime] = {}
    lasts: dict[str, datetime] = {}
    for limit in _LOOKS:
        if wanted <= firsts.keys():
            break
        for row in await (await connection.execute(sql["oldest_first"], {"limit": limit})).fetchall():
            at = from_ms(row["received_at"])
            if not row["last"]:
                firsts[row["account"], row["state"]] = at
            elif row["looked_at"] == limit:
                lasts[row["state"]] = at
    found = {key: firsts.get(key, lasts.get(key[1])) for key in wanted}
    return {key: at for key, at in found.items() if at is not None}


def _by_state(counted: Counts, number: int) -> dict[State, int]:
    found = dict.fromkeys(State, 0)
    for (_, state), entry in counted.items():
        found[State(state)] += entry[number]
    return found
