"""Leasing what is due, fairly over clients.

In: an account and the limits of one request. Out: a `Batch` whose attempt is written. Never: more than fits the request.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import orjson

from qboxrelay.model.submission import Batch, Claimed, State
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.sqlite.turns import Chosen, Turns
from qboxrelay.spool.times import from_ms, to_ms

_PROMOTE_AT_ONCE = 1000

ClaimedRow = tuple[int, str, int, int, int, str, str, int, int, int, str, str, int, str, bytes | None]
"""In the order of the statement `claimed`."""


class Claimer:
    """Claims for one spool."""

    def __init__(self, sql: dict[str, str], *, horizon: timedelta, monotonic: Callable[[], float]) -> None:
        self._sql = sql
        self._horizon = horizon
        self._monotonic = monotonic
        self._turns = Turns(sql)

    def claim(
        self,
        transaction: Transaction,
        account: str,
        now: datetime,
        *,
        max_messages: int,
        max_bytes: int,
        lease: timedelta,
    ) -> tuple[Batch, list[int]] | None:
        """The batch, and the keys of what was leased with it but has no content."""
        self._promote(transaction, account, now)
        chosen, fresh = self._turns.choose(transaction.connection, account, max_messages, max_bytes)
        return self._take(transaction, account, chosen, now, lease, fresh=fresh)

    def claim_keys(
        self, transaction: Transaction, account: str, keys: Sequence[int], now: datetime, *, lease: timedelta
    ) -> tuple[Batch, list[int]] | None:
        """Those of the keys that still wait."""
        values = {"account": account, "keys": orjson.dumps(keys).decode()}
        chosen = transaction.connection.execute(self._sql["still_queued"], values).fetchall()
        return self._take(transaction, account, chosen, now, lease)

    def _take(
        self,
        transaction: Transaction,
        account: str,
        chosen: Sequence[Chosen],
        now: datetime,
        lease: timedelta,
        *,
        fresh: bool = False,
    ) -> tuple[Batch, list[int]] | None:
        if not chosen:
            return None
        transaction.move(account, State.QUEUED, State.SENDING, len(chosen), sum([size for _, size in chosen]))
        return self.lease(transaction, account, chosen, now=now, lease=lease, fresh=fresh)

    def lease(
        self,
        transaction: Transaction,
        account: str,
        chosen: Sequence[Chosen],
        *,
        now: datetime,
        lease: timedelta,
        fresh: bool = False,
    ) -> tuple[Batch, list[int]]:
        """Write a new request with an attempt for each of the chosen; `fresh`: see `Turns.choose`."""
        connection, sql = transaction.connection, self._sql
        values = {
            "account": account,
            "now": to_ms(now),
            "leased_until": to_ms(now + lease),
            "messages": len(chosen),
            "bytes": sum(size for _, size in chosen),
        }
        request = connection.execute(sql["insert_request"], values).lastrowid
        if request is None:  # pragma: no cover - an INSERT always sets it
            raise sqlite3.InternalError("no key for the new request")
        transaction.granted[request] = (account, self._monotonic() + lease.total_seconds())
        keys = {"request": request, "keys": orjson.dumps([key for key, _ in chosen]).decode()}
        connection.execute(sql["lease_fresh" if fresh else "lease"], keys)
        connection.execute(sql["insert_attempts"], keys)
        rows = connection.execute(sql["claimed"], keys).fetchall()
        batch = Batch(request_key=request, account=account, lease=str(request), submissions=_claimed(rows))
        return batch, [row[0] for row in rows if not row[-1]]

    def _promote(self, transaction: Transaction, account: str, now: datetime) -> None:
        values = {
            "account": account,
            "now": to_ms(now),
            "horizon": to_ms(now + self._horizon),
            "limit": _PROMOTE_AT_ONCE,
        }
        transaction.connection.execute(self._sql["promote_due"], values)
        transaction.connection.execute(self._sql["promote_stranded"], values)


def _claimed(rows: Sequence[ClaimedRow]) -> tuple[Claimed, ...]:
    """Those that have content; a call for each row would take a tenth longer."""
    loads = orjson.loads
    return tuple(
        [
            Claimed(
                key=key,
                id=id_,
                transaction_id=id_.rpartition("-")[0],
                payload=payload,
                attempt=attempts,
                failures=failures,
                received_at=from_ms(received),
                envelope_sender=sender,
                recipients=tuple(loads(recipients)),
                notify_never=never == 1,
                is_notice=notice == 1,
                maybe_sent=maybe == 1,
                subject=subject,
                message_id_header=header,
                stored_at=from_ms(stored),
                traceparent=trace,
            )
            for (
                key,
                id_,
                attempts,
                failures,
                received,
                sender,
                recipients,
                never,
                notice,
                maybe,
                subject,
                header,
                stored,
                trace,
                payload,
            ) in rows
            if payload
        ]
    )
