"""Leasing what is due, fairly over clients.

In: an account and the limits of one request. Out: a `Batch` whose attempt is written. Never: more than fits the request; a touch of content
before it is known what is taken.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import orjson
from psycopg.rows import DictRow

from qboxrelay.model.submission import Batch, Claimed, State
from qboxrelay.spool.line import Chosen
from qboxrelay.spool.postgres.changes import Changes
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.times import from_ms, to_ms

_PROMOTE_AT_ONCE = 1000


class Claimer:
    """Claims for one node."""

    def __init__(self, sql: dict[str, str], *, node: str, horizon: timedelta) -> None:
        self._sql = sql
        self._node = node
        self._horizon = horizon

    async def promote(self, connection: Connection, account: str, now: datetime) -> None:
        """What waited long enough is ready."""
        values = {
            "account": account,
            "now": to_ms(now),
            "horizon": to_ms(now + self._horizon),
            "limit": _PROMOTE_AT_ONCE,
        }
        await connection.execute(self._sql["promote"], values)

    async def still_queued(self, connection: Connection, account: str, keys: Sequence[int]) -> list[Chosen]:
        """Those of the keys that still wait, locked."""
        values = {"account": account, "keys": list(keys)}
        rows = await (await connection.execute(self._sql["still_queued"], values)).fetchall()
        return [(row["key"], row["payload_bytes"]) for row in rows]

    async def take(
        self,
        connection: Connection,
        changes: Changes,
        account: str,
        chosen: Sequence[Chosen],
        *,
        before: State,
        now: datetime,
        server_now: int | None,
        lease: timedelta,
        token: int,
    ) -> tuple[Batch, list[int]]:
        """Write a new request with an attempt for each of the chosen, which are locked. Also the keys of what has no content. `token` and the
        request's number are the lease.
        """
        keys = [key for key, _ in chosen]
        sizes = [size for _, size in chosen]
        values = {
            "account": account,
            "node": self._node,
            "token": token,
            "now": to_ms(now),
            "server": server_now,
            "lease": round(lease.total_seconds() * 1000),
            "messages": len(chosen),
            "bytes": sum(sizes),
            "keys": keys,
        }
        if before is not State.SENDING:
            changes.move(account, before, State.SENDING, sizes)
        # One round trip for all of it.
        async with connection.pipeline():
            leased = await connection.execute(self._sql["lease"], values)
            contents = await connection.execute(self._sql["contents"], {"keys": keys})
            await changes.save(self._sql, connection)
        rows = await leased.fetchall()
        facts = {row["key"]: row for row in await contents.fetchall()}
        tried = {row["key"]: row for row in rows}
        claimed = tuple(_claimed(facts[key], tried[key]) for key in keys if facts[key]["payload"])
        request = int(rows[0]["request"])
        batch = Batch(request_key=request, account=account, lease=f"{request}/{token}", submissions=claimed)
        return batch, [key for key in keys if not facts[key]["payload"]]


def _claimed(facts: DictRow, tried: Mapping[str, int]) -> Claimed:
    return Claimed(
        key=facts["key"],
        id=facts["id"],
        transaction_id=facts["id"].rpartition("-")[0],
        payload=facts["payload"],
        attempt=tried["attempts"],
        failures=tried["failures"],
        received_at=from_ms(facts["received_at"]),
        envelope_sender=facts["envelope_sender"],
        recipients=tuple(orjson.loads(facts["recipients"])),
        notify_never=facts["notify_never"],
        is_notice=facts["is_notice"],
        maybe_sent=bool(tried["maybe_sent"]),
        subject=facts["subject"],
        message_id_header=facts["message_id_header"],
        stored_at=from_ms(facts["stored_at"]),
        traceparent=facts["traceparent"] or "",
    )
