"""What other parts know from outside, kept beside the mail.

In: a name and bytes. Out: the latest bytes of that name. Never: a meaning of the bytes.
"""

from collections.abc import Awaitable, Callable

from qboxrelay.spool.port import Fact
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.rows import fact_of
from qboxrelay.spool.statements import load_statements

Sql = dict[str, str]


async def remember(sql: Sql, connection: Connection, name: str, value: bytes) -> None:
    await connection.execute(sql["remember_fact"], {"name": name, "value": value})


async def recall(sql: Sql, connection: Connection, name: str, after: int) -> Fact | None:
    cursor = await connection.execute(sql["recall_fact"], {"name": name, "after": after})
    return fact_of(await cursor.fetchone())


class PostgresFactsBeside:
    """The facts of a spool that relays may be using at the same time; each call brings its own connection. Raises `SpoolError` where there is no
    spool yet.
    """

    def __init__(self, open_database: Callable[[], Awaitable[Database]]) -> None:
        self._open = open_database
        self._sql = load_statements("postgres")

    async def remember(self, name: str, value: bytes) -> None:
        """Running relays take it over within a second or two."""
        database = await self._open()
        try:
            async with database.writing() as connection:
                await remember(self._sql, connection, name, value)
        finally:
            await database.close()

    async def recall(self, name: str, *, after: int = 0) -> Fact | None:
        database = await self._open()
        try:
            async with database.reading() as connection:
                return await recall(self._sql, connection, name, after)
        finally:
            await database.close()
