"""Forgetting what was kept long enough, in small steps.

In: the times before which a record or a content may go. Out: how much went. Never: anything that still waits; a wait for a row that another
node has in its hands.
"""

from collections.abc import Mapping

from qboxrelay import failpoints
from qboxrelay.spool.postgres.connecting import Connection

STEP = 200
"""Of each kind."""


class Pruner:
    """One step a call; call again while it returns something. Any number of nodes may prune at the same time."""

    def __init__(self, sql: dict[str, str], *, keep_raw: bool) -> None:
        self._sql = sql
        self._keep_raw = keep_raw

    async def prune(self, connection: Connection, *, trail_before: int, payloads_before: int) -> int:
        """In a transaction. Rows that went. Times in milliseconds since 1970."""
        contents = {"before": payloads_before, "limit": STEP, "keep_raw": self._keep_raw}
        trail = {"before": trail_before, "limit": STEP}
        done = await self._went(connection, "prune_contents", contents)
        done += await self._went(connection, "prune_submissions", trail)
        for name in ("prune_acts", "prune_requests"):
            done += (await connection.execute(self._sql[name], trail)).rowcount
        if done:
            failpoints.reach("pruning")
        return done

    async def _went(self, connection: Connection, name: str, values: Mapping[str, object]) -> int:
        row = await (await connection.execute(self._sql[name], values)).fetchone()
        return int(row["went"]) if row is not None else 0
