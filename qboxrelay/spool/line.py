"""One client's ready submissions in the order of their turns: weighted over high, normal and low priority, so that none starves.

In: what is ready of one client. Out: keys and sizes, one at a time. Never: all that waits in memory; a look for a class that is known to be
empty: nearly every client has one class only.
"""

from collections import deque
from collections.abc import Callable, Sequence

Chosen = tuple[int, int]
"""A submission's key and its payload's bytes."""
Row = Sequence[int]
"""Key, payload's bytes, priority."""
More = Callable[[int, int, int], Sequence[Row]]
"""Further rows of the least and most priority behind so many: as many as were fetched at first, or fewer when there are no more."""

PATTERN = (0, 0, 1, 0, 0, 1, 0, 0, 1, 2)
"""Whose turn it is in ten: high, normal, low. A class with nothing waiting leaves its turn to the highest that has."""

CLASSES = (0, 1, 2)
_ORDERS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
_MOST = 2**31
_BOUNDS = ((1, _MOST), (0, 0), (-_MOST, -1))


class Line:
    """One client's line. `rows` are its first ones, the highest priority first; `behind` says of each class whether there may be more, which
    come by `fetch` at a time; `position` is where in the pattern it goes on.
    """

    def __init__(
        self, client: str, rows: Sequence[Row], *, behind: Sequence[bool], fetch: int, position: int, more: More
    ) -> None:
        self.client = client
        self.position = position
        self._fetch_size = fetch
        self._fetch_more = more
        self._rows: tuple[deque[Row], deque[Row], deque[Row]] = (deque(), deque(), deque())
        first, last = (class_of(rows[0][2]), class_of(rows[-1][2])) if rows else (0, 0)
        if first == last:
            self._rows[first].extend(rows)
        else:
            for row in rows:
                self._rows[class_of(row[2])].append(row)
        self._fetched = [len(fetched) for fetched in self._rows]
        self._more = list(behind)
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
        rows = self._fetch_more(least, most, self._fetched[number])
        self._rows[number].extend(rows)
        self._fetched[number] += len(rows)
        self._more[number] = len(rows) == self._fetch_size
        return bool(rows)


def behind_the_last(rows: Sequence[Row], fetch: int) -> list[bool]:
    """Of the first `fetch` rows of all classes together, the highest first: nothing is known of what stands behind the last one."""
    last = class_of(rows[-1][2]) if rows else 0
    return [len(rows) == fetch and number >= last for number in CLASSES]


def class_of(priority: int) -> int:
    """High, normal, low."""
    return 0 if priority > 0 else 1 if priority == 0 else 2
