"""How accounts are, over all nodes.

In: what a node learnt from the API's answers. Out: what all nodes go by, and who finds out whether it is over. Never: two nodes that find it out at
the same time; a node that died while it did, and keeps the others from it for ever.
"""

from datetime import timedelta

from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.reads import storable
from qboxrelay.spool.shared import SharedCondition
from qboxrelay.spool.statements import load_statements


class Conditions:
    """`channel` is where the others hear of a change."""

    def __init__(self, database: Database, *, node: str, channel: str) -> None:
        self._database = database
        self._node = node
        self._channel = channel
        self._sql = load_statements("postgres")

    async def all(self) -> list[SharedCondition]:
        values = {"node": self._node, "now": self._database.now_ms()}
        async with self._database.reading() as connection:
            rows = await (await connection.execute(self._sql["conditions"], values)).fetchall()
        return [
            SharedCondition(
                account=row["account"],
                condition=row["condition"],
                reason=row["reason"],
                token=bytes(row["token"]),
                lasted=timedelta(milliseconds=max(0, row["lasted_ms"])),
                wait=timedelta(milliseconds=row["wait_ms"]),
                version=row["version"],
            )
            for row in rows
        ]

    async def tell(self, account: str, condition: str, *, reason: str, token: bytes, wait: timedelta) -> None:
        values = {
            "account": account,
            "condition": condition,
            "reason": storable(reason),
            "token": token,
            "wait_ms": _ms(wait),
        }
        await self._change("set_condition", values)

    async def recovered(self, account: str, version: int) -> None:
        await self._change("clear_condition", {"account": account, "version": version})

    async def may_probe(self, account: str, lease: timedelta) -> bool:
        values = {
            "account": account,
            "node": self._node,
            "lease_ms": _ms(lease),
            "now": self._database.now_ms(),
        }
        async with self._database.reading() as connection:
            return await (await connection.execute(self._sql["claim_probe"], values)).fetchone() is not None

    async def _change(self, statement: str, values: dict[str, object]) -> None:
        values |= {"now": self._database.now_ms(), "channel": self._channel}
        async with self._database.reading() as connection:
            await connection.execute(self._sql[statement], values)


def _ms(length: timedelta) -> int:
    return round(length.total_seconds() * 1000)
