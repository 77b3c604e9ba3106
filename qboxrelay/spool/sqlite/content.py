"""What happens to the content of mail that needs it no longer.

In: keys. Out: payloads gone, and the message as received with them unless the settings keep it. Never: a record.
"""

import sqlite3
from collections.abc import Sequence

import orjson


class Content:
    """Drops content by key. `keep_raw`: the message as received stays as long as its record."""

    def __init__(self, sql: dict[str, str], *, keep_raw: bool) -> None:
        names = ("empty_payloads", "delete_payloads_without_raw") if keep_raw else ("delete_payloads",)
        self._statements = [sql[name] for name in names]

    def drop(self, connection: sqlite3.Connection, keys: Sequence[int]) -> None:
        if keys:
            values = {"keys": orjson.dumps(keys).decode()}
            for statement in self._statements:
                connection.execute(statement, values)
