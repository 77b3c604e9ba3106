"""What other parts know from outside, kept beside the mail.

In: a name and bytes. Out: the latest bytes of that name. Never: a meaning of the bytes.
"""

import asyncio
import sqlite3
from pathlib import Path

from qboxrelay.spool.port import Fact
from qboxrelay.spool.sqlite.beside import Beside
from qboxrelay.spool.statements import load_statements


def remember(sql: dict[str, str], connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute(sql["remember_fact"], {"name": name, "value": value})


def recall(sql: dict[str, str], connection: sqlite3.Connection, name: str, after: int) -> Fact | None:
    row = connection.execute(sql["recall_fact"], {"name": name, "after": after}).fetchone()
    return None if row is None else Fact(value=bytes(row[0]), version=row[1])


class FactsBeside:
    """The facts of a spool that a relay may be using at the same time. Raises `SpoolError` where there is no spool yet."""

    def __init__(self, path: Path) -> None:
        self._beside = Beside(path)
        self._sql = load_statements("sqlite")

    async def remember(self, name: str, value: bytes) -> None:
        """A running relay takes it over within a second or two."""
        await asyncio.to_thread(self._remember, name, value)

    async def recall(self, name: str, *, after: int = 0) -> Fact | None:
        return await asyncio.to_thread(self._recall, name, after)

    def _remember(self, name: str, value: bytes) -> None:
        with self._beside.writing() as connection:
            remember(self._sql, connection, name, value)

    def _recall(self, name: str, after: int) -> Fact | None:
        with self._beside.reading() as connection:
            return recall(self._sql, connection, name, after)
