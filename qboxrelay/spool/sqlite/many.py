"""One statement for many rows.

In: a statement with one row of placeholders behind VALUES; rows. Out: few executions. Never: a value in a statement's text.
"""

import re
import sqlite3
from collections.abc import Sequence
from itertools import chain

_ROW = re.compile(r"VALUES (\([^()]*\))")
_MOST_ROWS = 64
"""Of one execution, where nothing else is said: a prepared statement takes memory for each place."""


class Many:
    """Each execution gives up Python's lock several times, and must get it back from a busy event loop: so a group's rows go together, and by
    `executemany`, which does not ask for the last row's id as well. A few texts are enough for any number of rows, because the first value of
    those left over in a text is NULL, and the statement passes them by.
    """

    def __init__(self, statement: str, *, most_rows: int = _MOST_ROWS) -> None:
        self._statement = statement
        self._most_rows = most_rows
        row = _ROW.search(statement)
        assert row is not None, statement
        self._row = row[1]
        # NULL takes ten times as long as a number.
        self._nothing = (None, *(0,) * (row[1].count("?") - 1))
        self._texts: dict[int, str] = {}

    def execute(self, connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
        for start in range(0, len(rows), self._most_rows):
            part = rows[start : start + self._most_rows]
            room = room_for(len(part))
            values = [*chain.from_iterable(part), *self._nothing * (room - len(part))]
            connection.executemany(self._text(room), (values,))

    def _text(self, rows: int) -> str:
        if rows not in self._texts:
            values = f"VALUES {', '.join([self._row] * rows)}"
            self._texts[rows] = _ROW.sub(lambda _: values, self._statement)
        return self._texts[rows]


def room_for(rows: int) -> int:
    """So many or somewhat more, at most a quarter: the next number of three binary digits and zeros."""
    step = 1 << max(0, (rows - 1).bit_length() - 3)
    return -(-rows // step) * step
