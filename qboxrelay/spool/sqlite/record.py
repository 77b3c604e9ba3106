"""Recording what requests came to, and ending those whose owner is gone.

In: results by key. Out: settled rows. Never: a record over a lease that was given anew.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from qboxrelay.model.submission import Batch, State
from qboxrelay.spool.port import RequestResult, Result
from qboxrelay.spool.sqlite.content import Content
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.times import to_ms

_FINISHED = {State.SENT, State.FAILED}
_NAMES = {state: state.value for state in State}
"""Plain texts: over one of an enumeration Python's module takes four times as long."""
_LEASE_RAN_OUT = RequestResult(error="lease", text="the relay stopped before the answer was recorded")
_NEVER_SENT = RequestResult(error="stopped", text="the relay was stopping, nothing was sent")

Row = tuple[object, ...]
Owned = dict[int, tuple[int, int]]
"""By key: the payload's bytes and the number of the attempt."""


class Recorder:
    """Settles submissions."""

    def __init__(self, sql: dict[str, str], content: Content) -> None:
        self._sql = sql
        self._settle, self._end_attempts = Many(sql["settle"]), Many(sql["end_attempt"])
        self._content = content

    def owned(self, transaction: Transaction, request: int, keys: Iterable[int]) -> Owned:
        """Those of the keys that the request still owns."""
        values = {"keys": orjson.dumps(list(keys)).decode(), "request": request}
        rows = transaction.connection.execute(self._sql["owned"], values)
        return {key: (size, attempt) for key, size, attempt in rows}

    def record(
        self,
        transaction: Transaction,
        account: str,
        request: int,
        *,
        answer: RequestResult,
        results: Sequence[Result],
        now: datetime,
    ) -> None:
        owned = self.owned(transaction, request, [result.key for result in results])
        kept = list({result.key: result for result in results if result.key in owned}.values())
        if results and not kept:
            return
        self.end_attempts(transaction, request, answer, kept, owned, now)
        settled_at = to_ms(now)
        self._settle.execute(transaction.connection, [_settled(result, settled_at) for result in kept])
        if wanted := [{"key": r.key, "notice": r.notice, "tell": r.tell} for r in kept if r.notice]:
            transaction.connection.executemany(self._sql["want_notice"], wanted)
        self._content.drop(transaction.connection, [result.key for result in kept if result.state is State.SENT])
        for state in {result.state for result in kept}:
            sizes = [owned[result.key][0] for result in kept if result.state is state]
            transaction.move(account, State.SENDING, state, len(sizes), sum(sizes))
            if state is State.QUEUED:
                transaction.woken.add(account)

    def end_attempts(
        self,
        transaction: Transaction,
        request: int,
        answer: RequestResult,
        results: Sequence[Result],
        owned: Owned,
        now: datetime,
    ) -> None:
        """Write what became of the attempts, and of the request; it ends with its last submission."""
        connection, sql = transaction.connection, self._sql
        row = connection.execute(sql["under_way"], {"request": request}).fetchone()
        if row is not None and row[0] == len(results):
            transaction.ended.add(request)
        connection.execute(
            sql["end_request"],
            {
                "request": request,
                "now": to_ms(now),
                "settled": len(results),
                "status": answer.status,
                "request_id": answer.request_id,
                "error": answer.error,
                "text": answer.text,
                "connect_seconds": answer.connect_seconds,
                "answer_seconds": answer.answer_seconds,
            },
        )
        ended = [(r.key, owned[r.key][1], r.outcome, r.reason, r.text) for r in results]
        self._end_attempts.execute(connection, ended)

    def end_for_split(
        self, transaction: Transaction, request: int, answer: RequestResult, owned: Owned, now: datetime
    ) -> None:
        """End the attempts of submissions that stay under way, in requests of their own."""
        results = [
            Result(key=key, state=State.SENDING, outcome="deferred", reason="split", text=answer.text, counted=False)
            for key in owned
        ]
        if results:
            self.end_attempts(transaction, request, answer, results, owned, now)

    def expire(self, transaction: Transaction, requests: set[int] | None, into: State, now: datetime) -> Counter[str]:
        """End these requests, or all, whose owner is gone: their attempts are unknown, their submissions go back or are held. How many, by account."""
        lost: dict[tuple[int, str], list[Result]] = {}
        for request, account, key in transaction.connection.execute(self._sql["leased"]).fetchall():
            if requests is None or request in requests:
                lost.setdefault((request, account), []).append(
                    Result(
                        key=key, state=into, outcome="unknown", reason="lease", text=_LEASE_RAN_OUT.text, counted=False
                    )
                )
        for (request, account), results in lost.items():
            self.record(transaction, account, request, answer=_LEASE_RAN_OUT, results=results, now=now)
        # What is not under way any more needs no lease, however it ended.
        transaction.ended.update(requests or ())
        return sum((Counter({account: len(results)}) for (_, account), results in lost.items()), Counter())

    def hold_unreadable(
        self, transaction: Transaction, account: str, request: int, keys: Sequence[int], now: datetime
    ) -> None:
        """Content that is gone cannot be sent, and must not stop its neighbours."""
        answer = RequestResult(error="content", text="the content is missing from the spool")
        results = [
            Result(key=key, state=State.HELD, outcome="deferred", reason="content", text=answer.text, counted=False)
            for key in keys
        ]
        if results:
            self.record(transaction, account, request, answer=answer, results=results, now=now)
            transaction.woken.add(account)

    def give_back(self, transaction: Transaction, batch: Batch, now: datetime) -> None:
        """Put a batch that nobody received back; the attempts still count as attempts."""
        results = [
            Result(
                key=claimed.key,
                state=State.QUEUED,
                outcome="deferred",
                reason="stopped",
                text=_NEVER_SENT.text,
                counted=False,
            )
            for claimed in batch.submissions
        ]
        self.record(transaction, batch.account, batch.request_key, answer=_NEVER_SENT, results=results, now=now)


def _settled(result: Result, now: int) -> Row:
    """In the order of the statement `settle`; what is None of most results is 0, see there."""
    state = result.state
    return (
        result.key,
        _NAMES[state],
        to_ms(result.next_attempt_at) if result.next_attempt_at is not None else 0,
        now if state in _FINISHED else None,
        result.outcome,
        result.reason,
        result.text,
        result.message_id,
        result.submitted_at,
        0 if result.suppression is None else result.suppression,
        1 if result.counted else 0,
        1 if result.outcome == "unknown" else 0,
    )
