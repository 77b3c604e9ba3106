"""One client's ready submissions in the order of their turns: weighted over high, normal and low priority, so that none starves.

In: what is ready of one client. Out: keys and sizes, one at a time. Never: all that waits in memory; a query for a class that is known to be
empty: nearly every client has one class only.
"""

import sqlite3
from collections import deque
from typing import Any

Chosen = tuple[int, int]
"""A submission's key and its payload's bytes."""

PATTERN = (0, 0, 1, 0, 0, 1, 0, 0, 1, 2)
"""Whose turn it is in ten: high, normal, low. A class with nothing waiting leaves its turn to the highest that has."""

_ORDERS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
_MOST = 2**31
_BOUNDS = ((1, _MOST), (0, 0), (-_MOST, -1))


class Line:
    """One client's line. `position` is where in the pattern it goes on."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        sql: dict[str, str],
        account: str,
        client: str,
        *,
        fetch: int,
        position: int,
    ) -> None:
        self.client = client
        self.position = position
        self._connection = connection
        self._statement = sql["ready_of_class"]
        self._values = {"account": account, "client": client, "limit": fetch}
        self._rows: tuple[deque[Any], deque[Any], deque[Any]] = (deque(), deque(), deque())
        rows = connection.execute(sql["ready_of_client"], self._values).fetchall()
        first, last = (_class_of(rows[0][2]), _class_of(rows[-1][2])) if rows else (0, 0)
        if first == last:
            self._rows[first].extend(rows)
        else:
            for row in rows:
                self._rows[_class_of(row[2])].append(row)
        self._fetched = [len(fetched) for fetched in self._rows]
        # Rows come highest first: nothing is known of what stands behind the last one.
        self._more = [len(rows) == fetch and number >= last for number in (0, 1, 2)]
        self.mixed = first != last or (last < 2 and self._more[2])
        """Whether several classes may wait: then the next claim goes on where this one ends."""

    def next(self) -> Chosen | None:
        """The next one; None when nothing is ready."""
        for number in _ORDERS[PATTERN[self.position]]:
            if self._rows[number] or (self._more[number] and self._fetch(number)):
                self.position = (self.position + 1) % len(PATTERN)
                key, size, _ = self._rows[number].popleft()
                return key, size
        return None

    def _fetch(self, number: int) -> bool:
        least, most = _BOUNDS[number]
        values = {**self._values, "least": least, "most": most, "taken": self._fetched[number]}
        rows = self._connection.execute(self._statement, values).fetchall()
        self._rows[number].extend(rows)
        self._fetched[number] += len(rows)
        self._more[number] = len(rows) == values["limit"]
        return bool(rows)


def _class_of(priority: int) -> int:
    return 0 if priority > 0 else 1 if priority == 0 else 2
