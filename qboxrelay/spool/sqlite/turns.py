"""Choosing what to claim: the lines of the clients whose turn it is, read from the file, or of what came in just now.

In: what is ready, by client. Out: keys and sizes that fit one request. Never: all that waits in memory.
"""

import sqlite3
from collections.abc import Sequence

import orjson

from qboxrelay.spool.line import Chosen, Line, Row, behind_the_last
from qboxrelay.spool.sqlite.fresh import Arrived
from qboxrelay.spool.turns import CLIENTS_AT_ONCE, Places, choose

__all__ = ["Chosen", "Turns"]


class Turns:
    """Chooses for one spool. It remembers where each round ended."""

    def __init__(self, sql: dict[str, str]) -> None:
        self._sql = sql
        self._places = Places()

    def choose(self, connection: sqlite3.Connection, account: str, max_messages: int, max_bytes: int) -> list[Chosen]:
        return self._chosen(account, self._ready_lines(connection, account, max_messages), max_messages, max_bytes)

    def choose_fresh(
        self, standing: Sequence[Arrived], account: str, max_messages: int, max_bytes: int
    ) -> list[Chosen]:
        """As `choose` would, where nothing is ready but what came in just now: it need not have its place in the line first, only to leave it
        at once.
        """
        of: dict[str, list[Row]] = {}
        for one in standing:
            mail = one.submission
            if mail.account == account:
                of.setdefault(mail.client_key, []).append((one.key, len(mail.payload), mail.priority))
        last = self._places.last_client(account)
        behind_last_first = sorted(of, key=lambda client: (last is not None and client <= last, client))
        lines = [
            Line(
                client,
                sorted(of[client], key=lambda row: -row[2]),
                behind=(False, False, False),
                fetch=max_messages,
                position=self._places.position(account, client),
                more=lambda _least, _most, _taken: (),
            )
            for client in behind_last_first[:CLIENTS_AT_ONCE]
        ]
        return self._chosen(account, lines, max_messages, max_bytes)

    def _chosen(self, account: str, lines: Sequence[Line], max_messages: int, max_bytes: int) -> list[Chosen]:
        chosen, last = choose(lines, max_messages, max_bytes)
        self._places.remember(account, lines, last)
        return chosen

    def _ready_lines(self, connection: sqlite3.Connection, account: str, max_messages: int) -> list[Line]:
        clients = self._clients(connection, account, min(max_messages, CLIENTS_AT_ONCE))
        return self._lines(connection, account, clients, max_messages // len(clients) + 1) if clients else []

    def _lines(self, connection: sqlite3.Connection, account: str, clients: list[str], fetch: int) -> list[Line]:
        values = {"account": account, "clients": orjson.dumps(clients).decode(), "limit": fetch}
        rows = connection.execute(self._sql["ready_of_clients"], values)
        return [
            self._line(connection, account, client, orjson.loads(first), fetch)
            for client, (first,) in zip(clients, rows, strict=True)
        ]

    def _line(self, connection: sqlite3.Connection, account: str, client: str, rows: Sequence[Row], fetch: int) -> Line:
        values = {"account": account, "client": client, "limit": fetch}

        def more(least: int, most: int, taken: int) -> Sequence[Row]:
            bounds = {"least": least, "most": most, "taken": taken}
            return connection.execute(self._sql["ready_of_class"], values | bounds).fetchall()

        return Line(
            client,
            rows,
            behind=behind_the_last(rows, fetch),
            fetch=fetch,
            position=self._places.position(account, client),
            more=more,
        )

    def _clients(self, connection: sqlite3.Connection, account: str, limit: int) -> list[str]:
        """Clients with something ready, beginning behind the last one served."""
        last = self._places.last_client(account)
        # Nothing stands between a text and the same with NUL behind it.
        starts = [""] if last is None else [f"{last}\0", ""]
        found: dict[str, None] = {}
        for first in starts:
            if len(found) < limit:
                values = {"account": account, "first": first, "limit": limit - len(found)}
                found.update(dict.fromkeys(name for (name,) in connection.execute(self._sql["clients"], values)))
        return list(found)
