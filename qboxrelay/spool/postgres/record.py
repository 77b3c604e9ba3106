"""Recording what requests came to, and ending those whose owner is gone.

In: results by key. Out: settled rows. Never: a record over a lease that was given anew, by whichever node.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from psycopg.rows import DictRow

from qboxrelay.model.submission import Batch, State
from qboxrelay.spool.port import RequestResult, Result
from qboxrelay.spool.postgres.changes import Changes
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.put import clean
from qboxrelay.spool.postgres.reads import fitting
from qboxrelay.spool.times import to_ms

_LEASE_RAN_OUT = RequestResult(error="lease", text="the relay stopped before the answer was recorded")
_NEVER_SENT = RequestResult(error="stopped", text="the relay was stopping, nothing was sent")
_UNHEARD = RequestResult(error="claim", text="the database did not answer the claim, nothing was sent")
_NO_CONTENT = RequestResult(error="content", text="the content is missing from the spool")
_REQUESTS_AT_ONCE = 100
"""Leases that one claim ends; the next one ends more."""


class Recorder:
    """Settles submissions."""

    def __init__(self, sql: dict[str, str], *, keep_raw: bool) -> None:
        self._sql = sql
        self._keep_raw = keep_raw

    async def record(
        self,
        connection: Connection,
        changes: Changes,
        request: int,
        token: int,
        *,
        answer: RequestResult,
        results: Sequence[Result],
        now: datetime,
    ) -> None:
        """One statement. What the request does not own any more is left alone."""
        last = sorted({result.key: result for result in results}.values(), key=lambda result: result.key)
        values = _columns(last) | _answer(answer)
        values |= {
            "request": request,
            "token": token,
            "now": to_ms(now),
            "keep_raw": self._keep_raw,
            "nothing": not results,
        }
        cursor = await connection.execute(self._sql["record"], values)
        for row in await cursor.fetchall():
            state = State(row["state"])
            changes.moved(State.SENDING, state, row["payload_bytes"])
            if state is State.QUEUED:
                changes.woken.add(row["account"])

    async def owned(self, connection: Connection, request: int, token: int, keys: Iterable[int]) -> dict[int, int]:
        """Those of the keys that the request still owns, locked, with their sizes."""
        values = {"request": request, "token": token, "keys": list(keys)}
        cursor = await connection.execute(self._sql["owned"], values)
        return {row["key"]: row["payload_bytes"] for row in await cursor.fetchall()}

    async def end_for_split(
        self, connection: Connection, request: int, answer: RequestResult, keys: Iterable[int], now: datetime
    ) -> None:
        """End the attempts of submissions that stay under way, in requests of their own."""
        of = list(keys)
        values = {"request": request, "keys": of, "settled": len(of), "now": to_ms(now)}
        if of:
            await connection.execute(self._sql["end_for_split"], values | _answer(answer))

    async def expire(
        self,
        connection: Connection,
        changes: Changes,
        *,
        into: State,
        now: datetime,
        server_now: int | None,
        node: str | None = None,
    ) -> Counter[str]:
        """End requests whose lease ran out, or those of a node that is gone: their attempts are unknown, their submissions go back or are held.
        How many, by account.
        """
        values = {"server": server_now, "node": node, "limit": _REQUESTS_AT_ONCE}
        chosen = self._sql["ran_out" if node is None else "left_by"]
        lost: Counter[str] = Counter()
        for row in await (await connection.execute(chosen, values)).fetchall():
            lost[row["account"]] += await self._end(connection, changes, row, _LEASE_RAN_OUT, into, "unknown", now)
        return lost

    async def end_unheard(
        self, connection: Connection, changes: Changes, *, node: str, tokens: Sequence[int], now: datetime
    ) -> dict[int, int]:
        """Put back what claims with these tokens took, of which this node did not hear: nothing was sent. How many, by those tokens that came
        through.
        """
        values = {"node": node, "tokens": list(tokens)}
        found: Counter[int] = Counter()
        for row in await (await connection.execute(self._sql["unheard"], values)).fetchall():
            found[row["token"]] += await self._end(connection, changes, row, _UNHEARD, State.QUEUED, "deferred", now)
        return found

    async def _end(
        self,
        connection: Connection,
        changes: Changes,
        request: DictRow,
        answer: RequestResult,
        into: State,
        outcome: str,
        now: datetime,
    ) -> int:
        """End a request, which is locked, with all that is under way of it. How many those were."""
        of = {"request": request["key"], "now": to_ms(now)}
        left = await (await connection.execute(self._sql["left_of"], of)).fetchall()
        results = [_result(one["key"], into, outcome, answer.error or "", answer.text) for one in left]
        if results:
            key, token = request["key"], request["token"]
            await self.record(connection, changes, key, token, answer=answer, results=results, now=now)
        await connection.execute(self._sql["close_request"], of)
        return len(results)

    async def hold_unreadable(
        self, connection: Connection, changes: Changes, batch: Batch, keys: Sequence[int], now: datetime
    ) -> None:
        """Content that is gone cannot be sent, and must not stop its neighbours."""
        if keys:
            results = [_result(key, State.HELD, "deferred", "content", _NO_CONTENT.text) for key in keys]
            key, token = batch.request_key, token_of(batch)
            await self.record(connection, changes, key, token, answer=_NO_CONTENT, results=results, now=now)
            changes.woken.add(batch.account)

    async def give_back(self, connection: Connection, changes: Changes, batch: Batch, now: datetime) -> None:
        """Put a batch that nobody received back; the attempts still count as attempts."""
        results = [_result(one.key, State.QUEUED, "deferred", "stopped", _NEVER_SENT.text) for one in batch.submissions]
        key, token = batch.request_key, token_of(batch)
        await self.record(connection, changes, key, token, answer=_NEVER_SENT, results=results, now=now)


def token_of(batch: Batch) -> int:
    """What tells its claim from another one with the same number."""
    return int(batch.lease.rpartition("/")[2])


def _result(key: int, state: State, outcome: str, reason: str, text: str) -> Result:
    return Result(key=key, state=state, outcome=outcome, reason=reason, text=text, counted=False)


def _columns(results: Sequence[Result]) -> dict[str, object]:
    return {
        "keys": [one.key for one in results],
        "states": [one.state.value for one in results],
        "next_attempts": [None if one.next_attempt_at is None else to_ms(one.next_attempt_at) for one in results],
        "outcomes": [one.outcome for one in results],
        "reasons": [clean(one.reason) for one in results],
        "texts": [clean(one.text) for one in results],
        "message_ids": [_fitting(one.message_id) for one in results],
        "submitted": [_clean(one.submitted_at) for one in results],
        "suppressions": [_clean(one.suppression) for one in results],
        "counted": [int(one.counted) for one in results],
        "maybe": [one.outcome == "unknown" for one in results],
        "notices": [None if one.notice is None else one.notice.value for one in results],
        "tells": [fitting(clean(one.tell)) for one in results],
    }


def _answer(answer: RequestResult) -> dict[str, object]:
    return {
        "status": answer.status,
        "request_id": _fitting(answer.request_id),
        "error": _clean(answer.error),
        "text": clean(answer.text),
        "connect_seconds": answer.connect_seconds,
        "answer_seconds": answer.answer_seconds,
    }


def _fitting(text: str | None) -> str | None:
    return None if text is None else fitting(clean(text))


def _clean(text: str | None) -> str | None:
    return None if text is None else clean(text)
