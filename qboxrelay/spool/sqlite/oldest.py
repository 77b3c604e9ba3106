"""How old is what waits, by account.

In: how much waits for whom. Out: when the oldest of each was received. Never: a look at every row, however many wait.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import chain

from qboxrelay.model.submission import State
from qboxrelay.spool.port import AccountDepth
from qboxrelay.spool.sqlite.transaction import WAITING
from qboxrelay.spool.times import from_ms

_MOST_ROWS = 10_000

Key = tuple[str, str]
"""Account and state."""


def oldest_waiting(
    sql: dict[str, str], connection: sqlite3.Connection, counts: Mapping[Key, tuple[int, int]]
) -> dict[Key, datetime]:
    """Walk each state's submissions in order of arrival until every account that `counts` has some of was seen. Whose were not among the first
    rows gets the time of the last row: its oldest came after that.
    """
    found: dict[Key, datetime] = {}
    for state in sorted(WAITING):
        wanted = {account for (account, of), (messages, _) in counts.items() if of == state and messages > 0}
        rows = connection.execute(sql["oldest_first"], {"state": state, "limit": _MOST_ROWS if wanted else 0})
        fresh = connection.execute(sql["fresh_times"]) if state is State.QUEUED else ()
        found.update({(account, state): from_ms(at) for account, at in _firsts(chain(rows, fresh), wanted).items()})
    return found


def _firsts(rows: Iterable[tuple[str, int]], wanted: set[str]) -> dict[str, int]:
    """The first `received_at` of each wanted account, reading no further than needed; see `oldest_waiting` for those not among the rows."""
    firsts: dict[str, int] = {}
    for looked_at, (account, received_at) in enumerate(rows, 1):
        if account in wanted:
            firsts.setdefault(account, received_at)
        if len(firsts) == len(wanted):
            return firsts
        if looked_at == _MOST_ROWS:
            firsts.update(dict.fromkeys(wanted - firsts.keys(), received_at))
    return firsts


def oldest_queued(oldest: Mapping[Key, datetime]) -> datetime | None:
    return min((at for (_, state), at in oldest.items() if state == State.QUEUED), default=None)


def by_account(counts: Mapping[Key, tuple[int, int]], oldest: Mapping[Key, datetime]) -> tuple[AccountDepth, ...]:
    return tuple(
        AccountDepth(
            account=account, state=State(state), messages=messages, bytes=size, oldest_at=oldest.get((account, state))
        )
        for (account, state), (messages, size) in sorted(counts.items())
    )
