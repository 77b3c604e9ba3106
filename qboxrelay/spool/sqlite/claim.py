"""Leasing what is due, fairly over clients.

In: an account and the limits of one request. Out: a `Batch` whose attempt is written. Never: more than fits the request.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import orjson

from qboxrelay.model.submission import Batch, Claimed, State
from qboxrelay.spool.sqlite.fresh import Arrived, Fresh
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.sqlite.turns import Chosen, Turns
from qboxrelay.spool.times import from_ms, to_ms

_PROMOTE_AT_ONCE = 1000

Found = tuple[Batch, list[int]] | None
"""A batch, and the keys of what was leased with it but has no content."""
ClaimedRow = tuple[int, str, int, int, int, str, str, int, int, int, str, str, int, str, bytes | None]
"""In the order of the statement `claimed`."""


class Claimer:
    """Claims for one spool."""

    def __init__(
        self, sql: dict[str, str], fresh: Fresh, *, horizon: timedelta, monotonic: Callable[[], float]
    ) -> None:
        self._sql = sql
        self._fresh = fresh
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
    ) -> Found:
        """The batch, and the keys of what was leased with it but has no content; None when the account is paused as well."""
        values = {"account": account, "now": to_ms(now), "horizon": to_ms(now + self._horizon)}
        paused, due, ready, line = transaction.connection.execute(self._sql["outlook"], values).fetchone()
        if paused:
            return None
        if due:
            self._promote(transaction, values)
        standing = self._fresh.standing(transaction, line)
        if not due and not ready:
            chosen = self._turns.choose_fresh(standing, account, max_messages, max_bytes)
            return self._take_fresh(transaction, account, standing, chosen, now, lease) if chosen else None
        self._fresh.line_up(transaction)
        chosen = self._turns.choose(transaction.connection, account, max_messages, max_bytes)
        return self._take(transaction, account, chosen, now, lease)

    def claim_keys(
        self, transaction: Transaction, account: str, keys: Sequence[int], now: datetime, *, lease: timedelta
    ) -> Found:
        """Those of the keys that still wait."""
        values = {"account": account, "keys": _json(keys)}
        chosen = transaction.connection.execute(self._sql["still_queued"], values).fetchall()
        return self._take(transaction, account, chosen, now, lease)

    def lease(
        self, transaction: Transaction, account: str, chosen: Sequence[Chosen], *, now: datetime, lease: timedelta
    ) -> tuple[Batch, list[int]]:
        """Write a new request with an attempt for each of the chosen."""
        connection, sql = transaction.connection, self._sql
        request = self._request(transaction, account, chosen, now, lease)
        values = {"request": request, "keys": _json([key for key, _ in chosen])}
        connection.execute(sql["lease"], values)
        connection.execute(sql["insert_attempts"], values)
        rows = connection.execute(sql["claimed"], values).fetchall()
        return _batch(request, account, _claimed(rows)), [row[0] for row in rows if not row[-1]]

    def _take(
        self, transaction: Transaction, account: str, chosen: Sequence[Chosen], now: datetime, lease: timedelta
    ) -> Found:
        if not chosen:
            return None
        transaction.move(account, State.QUEUED, State.SENDING, len(chosen), sum([size for _, size in chosen]))
        return self.lease(transaction, account, chosen, now=now, lease=lease)

    def _take_fresh(
        self,
        transaction: Transaction,
        account: str,
        standing: Sequence[Arrived],
        chosen: Sequence[Chosen],
        now: datetime,
        lease: timedelta,
    ) -> Found:
        """Their rows begin with the lease, and nothing of them is read: a third of the time that a claim's statements take else."""
        transaction.move(account, State.QUEUED, State.SENDING, len(chosen), sum([size for _, size in chosen]))
        request = self._request(transaction, account, chosen, now, lease)
        keys = [key for key, _ in chosen]
        self._fresh.line_up(transaction, dict.fromkeys(keys, request))
        transaction.connection.execute(self._sql["insert_attempts"], {"keys": _json(keys)})
        taken = {one.key: one for one in standing}
        return _batch(request, account, tuple([_claimed_fresh(taken[key]) for key in keys])), []

    def _request(
        self, transaction: Transaction, account: str, chosen: Sequence[Chosen], now: datetime, lease: timedelta
    ) -> int:
        values = {
            "account": account,
            "now": to_ms(now),
            "leased_until": to_ms(now + lease),
            "messages": len(chosen),
            "bytes": sum([size for _, size in chosen]),
        }
        request = transaction.connection.execute(self._sql["insert_request"], values).lastrowid
        if request is None:  # pragma: no cover - an INSERT always sets it
            raise sqlite3.InternalError("no key for the new request")
        transaction.granted[request] = (account, self._monotonic() + lease.total_seconds())
        return request

    def _promote(self, transaction: Transaction, values: dict[str, object]) -> None:
        for name in ("promote_due", "promote_stranded"):
            transaction.connection.execute(self._sql[name], {**values, "limit": _PROMOTE_AT_ONCE})


def _batch(request: int, account: str, submissions: tuple[Claimed, ...]) -> Batch:
    return Batch(request_key=request, account=account, lease=str(request), submissions=submissions)


def _claimed_fresh(one: Arrived) -> Claimed:
    """As it would be read, but for less than a millisecond."""
    mail = one.submission
    return Claimed(
        key=one.key,
        id=mail.id,
        transaction_id=mail.transaction_id,
        payload=mail.payload,
        attempt=1,
        failures=0,
        received_at=mail.received_at,
        envelope_sender=mail.envelope_sender,
        recipients=mail.recipients,
        notify_never=mail.notify_never,
        is_notice=mail.is_notice,
        maybe_sent=False,
        subject=mail.subject,
        message_id_header=mail.message_id_header,
        stored_at=one.stored_at,
        traceparent=mail.traceparent,
    )


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


def _json(keys: Sequence[int]) -> str:
    return orjson.dumps(keys).decode()
