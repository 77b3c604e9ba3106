"""Choosing what to claim: the lines of the clients whose turn it is, locked row by row so that no other node takes them.

In: what is ready, by client. Out: keys and sizes that fit one request. Never: all that waits in memory; a wait for another node's claim.
"""

from collections.abc import Sequence
from itertools import groupby

from psycopg.rows import DictRow

from qboxrelay.spool.line import CLASSES, Chosen, Line, Row, class_of
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.turns import CLIENTS_AT_ONCE, Places, choose

_LAST = "\U0010ffff"
"""Behind every client's key: then the round begins with the first one."""
_LOOKS = 8
"""Each look fetches as much as is left to take; a claim that still had more to look for is only smaller."""


class Chooser:
    """Chooses for one spool of one node, an account at a time."""

    def __init__(self, sql: dict[str, str]) -> None:
        self._sql = sql
        self._places = Places()

    async def choose(
        self, connection: Connection, account: str, max_messages: int, max_bytes: int
    ) -> tuple[list[Chosen], "Turn"]:
        """In a transaction, which is to be followed by `remember` once it is committed."""
        last = self._places.last_client(account)
        values = {
            "account": account,
            "last": _LAST if last is None else last,
            "limit": min(max_messages, CLIENTS_AT_ONCE),
        }
        rows = await (await connection.execute(self._sql["clients"], values)).fetchall()
        turn = Turn(account, [row["name"] for row in rows], self._places, max_messages)
        chosen: list[Chosen] = []
        for _ in range(_LOOKS):
            if turn.starved:
                await self._look(connection, turn)
                chosen = turn.choose(max_messages, max_bytes)
        return chosen, turn

    def remember(self, turn: "Turn") -> None:
        self._places.remember(turn.account, turn.lines, turn.last)

    async def _look(self, connection: Connection, turn: "Turn") -> None:
        values = {"account": turn.account, "clients": sorted(turn.starved, key=turn.clients.index), "fetch": turn.fetch}
        rows = await (await connection.execute(self._sql["candidates"], values)).fetchall()
        turn.found(rows)


class Turn:
    """One round over an account's clients. `starved` are those of whom more must be fetched before it can be made."""

    def __init__(self, account: str, clients: Sequence[str], places: Places, max_messages: int) -> None:
        self.account = account
        self.clients = list(clients)
        self.starved = set(clients)
        self.fetch = max_messages // max(1, len(clients)) + 1
        self.lines: list[Line] = []
        self.last: str | None = None
        self._places = places
        self._rows: dict[str, tuple[list[Row], int]] = {}

    def found(self, rows: Sequence[DictRow]) -> None:
        """The first `fetch` of each class of those that were asked for."""
        for client in self.starved:
            self._rows[client] = ([], self.fetch)
        for client, of_client in groupby(rows, key=lambda row: str(row["name"])):
            first: list[Row] = [(row["key"], row["payload_bytes"], row["priority"]) for row in of_client]
            self._rows[client] = (first, self.fetch)

    def choose(self, max_messages: int, max_bytes: int) -> list[Chosen]:
        self.starved.clear()
        self.lines = [self._line(client) for client in self.clients]
        chosen, self.last = choose(self.lines, max_messages, max_bytes)
        if self.starved:
            self.fetch += (max_messages - len(chosen)) // len(self.starved) + 1
        return chosen

    def _line(self, client: str) -> Line:
        rows, fetch = self._rows[client]

        def more(_least: int, _most: int, _taken: int) -> list[Row]:
            self.starved.add(client)
            return []

        # Each class was fetched by itself: only one that came in full may have more.
        numbers = [class_of(row[2]) for row in rows]
        behind = [numbers.count(number) == fetch for number in CLASSES]
        position = self._places.position(self.account, client)
        return Line(client, rows, behind=behind, fetch=fetch, position=position, more=more)
