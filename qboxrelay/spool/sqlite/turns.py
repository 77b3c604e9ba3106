"""Whose turn it is: one submission of each client in a round; within a client, see `line`.

In: what is ready, by client. Out: keys and sizes that fit one request. Never: all that waits in memory.
"""

import sqlite3
from collections import OrderedDict, deque

from qboxrelay.spool.sqlite.line import Chosen, Line

__all__ = ["Chosen", "Turns"]

_CLIENTS_AT_ONCE = 500
"""Clients that one claim goes round; the next claim begins behind the last one served."""
_REMEMBERED = 10_000
"""Clients with mail of several priorities whose place in their turns is kept."""


class Turns:
    """Chooses for one spool. It remembers per account where the last round ended, and where each client with several priorities is."""

    def __init__(self, sql: dict[str, str]) -> None:
        self._sql = sql
        self._last_client: dict[str, str] = {}
        self._positions: OrderedDict[tuple[str, str], int] = OrderedDict()

    def choose(self, connection: sqlite3.Connection, account: str, max_messages: int, max_bytes: int) -> list[Chosen]:
        """A client whose next one does not fit has had its turn."""
        clients = self._clients(connection, account, min(max_messages, _CLIENTS_AT_ONCE))
        fetch = max_messages // max(1, len(clients)) + 1
        lines = [self._line(connection, account, client, fetch) for client in clients]
        turns = deque(lines)
        chosen: list[Chosen] = []
        total = 0
        while turns and len(chosen) < max_messages:
            line = turns.popleft()
            first = line.next()
            if first is None or (chosen and total + first[1] + 1 > max_bytes):
                continue
            chosen.append(first)
            total += first[1] + 1
            self._last_client[account] = line.client
            turns.append(line)
        self._remember(account, lines)
        return chosen

    def _line(self, connection: sqlite3.Connection, account: str, client: str, fetch: int) -> Line:
        position = self._positions.get((account, client), 0)
        return Line(connection, self._sql, account, client, fetch=fetch, position=position)

    def _remember(self, account: str, lines: list[Line]) -> None:
        for line in lines:
            key = (account, line.client)
            if line.mixed:
                self._positions[key] = line.position
                self._positions.move_to_end(key)
            else:
                self._positions.pop(key, None)
        while len(self._positions) > _REMEMBERED:
            self._positions.popitem(last=False)

    def _clients(self, connection: sqlite3.Connection, account: str, limit: int) -> list[str]:
        """Clients with something ready, beginning behind the last one served."""
        found: dict[str, None] = {}
        for after in (self._last_client.get(account), None):
            row = self._next(connection, account, after)
            while row is not None and row[0] not in found and len(found) < limit:
                found[row[0]] = None
                row = self._next(connection, account, row[0])
        return list(found)

    def _next(self, connection: sqlite3.Connection, account: str, after: str | None) -> tuple[str] | None:
        name = "first_client" if after is None else "next_client"
        row: tuple[str] | None = connection.execute(self._sql[name], {"account": account, "after": after}).fetchone()
        return row
