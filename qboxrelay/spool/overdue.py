"""Which submissions of an account wait for too long, found in pages of all that is queued.

In: pages of rows, in order of arrival. Out: keys. Never: more than one request may hold.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from qboxrelay.spool.times import to_ms

PAGE, PAGES = 1000, 200


class Row(Protocol):
    """By column: key, account, payload_bytes, received_at."""

    def __getitem__(self, name: str, /) -> Any: ...


class Overdue:
    """As many as `most` messages and bytes hold. Behind a page without any that old, of whatever account, there is none worth looking for."""

    def __init__(self, account: str, received_before: datetime, most: tuple[int, int]) -> None:
        self._account = account
        self._before = to_ms(received_before)
        self._most, self._most_bytes = most
        self._bytes = 0
        self.keys: list[int] = []
        self.after = 0
        """The last key of what was looked at."""

    def look(self, rows: Sequence[Row]) -> bool:
        """Take a page in; whether the next one is worth reading."""
        old = [row for row in rows if row["received_at"] < self._before]
        for row in old:
            if row["account"] == self._account:
                self._bytes += row["payload_bytes"] + 1
                if len(self.keys) == self._most or (self.keys and self._bytes > self._most_bytes):
                    return False
                self.keys.append(row["key"])
        if not old:
            return False
        self.after = rows[-1]["key"]
        return True
