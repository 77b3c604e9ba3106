"""Leases of this node, from the claim to the record, and the end of those that ran out, of any node.

In: accounts, limits, results. Out: batches. Never: a lease that nobody knows of: what a cancelled claim took goes back.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Batch, State
from qboxrelay.spool.line import Chosen
from qboxrelay.spool.port import RequestResult, Result, SpoolError, SpoolUnreachable
from qboxrelay.spool.postgres import looking, reads
from qboxrelay.spool.postgres.changes import Changes
from qboxrelay.spool.postgres.choosing import Chooser, Turn
from qboxrelay.spool.postgres.claim import Claimer
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.doubts import Doubts, Lease
from qboxrelay.spool.postgres.record import Recorder, token_of
from qboxrelay.spool.postgres.transacting import Transactions, Work

log = structlog.get_logger()

T = TypeVar("T")

_CATCH_UP_SECONDS = 10.0
"""After an outage of the server leases have run out whose owners live, know the outcome, and record it now: they try every second."""
LOOK_AGAIN = timedelta(milliseconds=500)
"""Until the next look at a lease that ran out, and that the last claim did not end: another session may have it locked."""
_LOST = "a relay that did not stop by itself left requests without an answer: the API may have these mails"


class Leasing:
    """Of one node. `server_now` is the time that leases go by; None lets the server say. `troubles`: how often the server was
    away.
    """

    def __init__(
        self,
        sql: dict[str, str],
        transactions: Transactions,
        *,
        node: str,
        clock: Clock,
        server_now: Callable[[], int | None],
        expired_into: State,
        horizon: timedelta,
        keep_raw: bool,
        troubles: Callable[[], int],
    ) -> None:
        self._sql = sql
        self._transactions = transactions
        self._node = node
        self._clock = clock
        self._server_now = server_now
        self._expired_into = expired_into
        self._troubles = troubles
        self._troubles_seen = 0
        # The server may have come back this moment, like this node.
        self._caught_up_at = clock.monotonic() + _CATCH_UP_SECONDS
        self._chooser = Chooser(sql)
        self._claimer = Claimer(sql, node=node, horizon=horizon)
        self._recorder = Recorder(sql, keep_raw=keep_raw)
        self._claiming: dict[str, asyncio.Lock] = {}
        self._doubts = Doubts(monotonic=clock.monotonic)

    def doubtful(self) -> set[str]:
        """Accounts of which a claim may have come through that nobody heard of: the next one finds out, or `end_unheard`."""
        return self._doubts.accounts()

    def end_of_leases(self) -> timedelta:
        """How soon a claim may end a lease that ran out."""
        self._caught_up()
        return max(LOOK_AGAIN, timedelta(seconds=self._caught_up_at - self._clock.monotonic()))

    async def end_unheard(self) -> None:
        """Put back what a claim took whose commit was not heard of, without a next claim: where every account is closed there is none."""
        if not self.doubtful():
            return

        async def work(connection: Connection, changes: Changes) -> dict[int, int]:
            return await self._end_unheard(connection, changes, self._clock.now())

        self._tell_unheard(await self._transactions.change(work))

    async def claim(self, account: str, *, max_messages: int, max_bytes: int, lease: timedelta) -> Batch | None:
        turns: list[Turn] = []
        found: dict[int, int] = {}
        leasing = self._doubts.lease(account, lease)

        async def work(connection: Connection, changes: Changes) -> Batch | None:
            now = self._clock.now()
            found.clear()
            found.update(await self._end_unheard(connection, changes, now))
            if self._caught_up():
                await self._expire(connection, changes, now)
            if await reads.paused(self._sql, connection, account):
                return None
            await self._claimer.promote(connection, account, now)
            chosen, turn = await self._chooser.choose(connection, account, max_messages, max_bytes)
            turns[:] = [turn]
            return await self._lease(connection, changes, leasing, chosen, now)

        def committed(batch: Batch | None) -> None:
            self._tell_unheard(found)
            if batch is not None:
                for turn in turns:
                    self._chooser.remember(turn)

        return await self._claimed(leasing, work, committed)

    async def claim_overdue(
        self, account: str, *, received_before: datetime, most: tuple[int, int], lease: timedelta
    ) -> Batch | None:
        leasing = self._doubts.lease(account, lease)

        async def work(connection: Connection, changes: Changes) -> Batch | None:
            if await reads.paused(self._sql, connection, account):
                return None
            keys = await looking.overdue(self._sql, connection, account, received_before, most)
            chosen = await self._claimer.still_queued(connection, account, keys) if keys else []
            return await self._lease(connection, changes, leasing, chosen, self._clock.now())

        return await self._claimed(leasing, work)

    async def record(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        async def work(connection: Connection, changes: Changes) -> None:
            key, token = batch.request_key, token_of(batch)
            await self._recorder.record(
                connection, changes, key, token, answer=request, results=results, now=self._clock.now()
            )

        await self._transactions.finish(lambda: self._transactions.change(work, alone=True))

    async def split(
        self, batch: Batch, request: RequestResult, parts: Sequence[Sequence[int]], lease: timedelta
    ) -> list[Batch]:
        leasing = self._doubts.lease(batch.account, lease)

        async def work(connection: Connection, changes: Changes) -> list[Batch]:
            now = self._clock.now()
            asked = [key for part in parts for key in part]
            owned = await self._recorder.owned(connection, batch.request_key, token_of(batch), asked)
            await self._recorder.end_for_split(connection, batch.request_key, request, owned, now)
            batches = []
            for part in parts:
                chosen = [(key, owned[key]) for key in part if key in owned]
                if chosen:
                    taken, _ = await self._take(connection, changes, leasing, chosen, State.SENDING, now)
                    batches.append(taken)
            return batches

        return await self._transactions.finish(lambda: self._heard(leasing, work))

    async def end_former(self) -> None:
        """What a former process under this node's name left under way."""

        async def work(connection: Connection, changes: Changes) -> dict[str, int]:
            now = self._clock.now()
            return await self._expire(connection, changes, now, node=self._node)

        while found := await self._transactions.change(work):
            for account, count in ((account, count) for account, count in found.items() if count):
                log.warning("attempts.lost", account=account, count=count, state=self._expired_into.value, hint=_LOST)

    def _caught_up(self) -> bool:
        """Whether leases that ran out may be ended: it is a while since the server was away."""
        now = self._clock.monotonic()
        if self._troubles() != self._troubles_seen:
            self._troubles_seen = self._troubles()
            self._caught_up_at = now + _CATCH_UP_SECONDS
        return now >= self._caught_up_at

    async def _expire(
        self, connection: Connection, changes: Changes, now: datetime, *, node: str | None = None
    ) -> dict[str, int]:
        return await self._recorder.expire(
            connection, changes, into=self._expired_into, now=now, server_now=self._server_now(), node=node
        )

    async def _lease(
        self,
        connection: Connection,
        changes: Changes,
        leasing: Lease,
        chosen: Sequence[Chosen],
        now: datetime,
    ) -> Batch | None:
        if not chosen:
            return None
        batch, unreadable = await self._take(connection, changes, leasing, chosen, State.QUEUED, now)
        await self._recorder.hold_unreadable(connection, changes, batch, unreadable, now)
        return batch if batch.submissions else None

    async def _take(
        self,
        connection: Connection,
        changes: Changes,
        leasing: Lease,
        chosen: Sequence[Chosen],
        before: State,
        now: datetime,
    ) -> tuple[Batch, list[int]]:
        leasing.written = True
        return await self._claimer.take(
            connection,
            changes,
            leasing.account,
            chosen,
            before=before,
            now=now,
            server_now=self._server_now(),
            lease=leasing.length,
            token=leasing.token,
        )

    async def _heard(self, leasing: Lease, work: Work[T]) -> T:
        """A transaction that may lease. Where it is not known whether it came through, that is found out later."""
        try:
            return await self._transactions.change(work)
        except SpoolUnreachable:
            self._doubts.unheard(leasing)
            raise

    async def _end_unheard(self, connection: Connection, changes: Changes, now: datetime) -> dict[int, int]:
        if not (tokens := self._doubts.tokens()):
            return {}
        return await self._recorder.end_unheard(connection, changes, node=self._node, tokens=tokens, now=now)

    def _tell_unheard(self, found: Mapping[int, int]) -> None:
        self._doubts.settled(found)
        for count in found.values():
            log.info("claim.given_back", count=count, hint="its commit was not heard of, and nothing of it was sent")

    async def _claimed(
        self, leasing: Lease, work: Work[Batch | None], committed: Callable[[Batch | None], None] = lambda _batch: None
    ) -> Batch | None:
        """One claim at a time and account: within a node nobody need pass over what another claim only looks at."""

        async def claim() -> Batch | None:
            async with self._claiming.setdefault(leasing.account, asyncio.Lock()):
                batch = await self._heard(leasing, work)
                committed(batch)
                return batch

        self._transactions.require_open()
        claiming = self._transactions.begin(claim())
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # Nobody will record it, and nothing was sent: it need not wait for its lease to run out.
            self._transactions.begin(self._give_back(leasing, claiming))
            raise

    async def _give_back(self, leasing: Lease, claiming: "asyncio.Task[Batch | None]") -> None:
        try:
            batch = await claiming
            if batch is not None:
                await self._transactions.change(
                    lambda connection, changes: self._recorder.give_back(connection, changes, batch, self._clock.now())
                )
        except SpoolError as error:
            self._doubts.unheard(leasing)
            log.warning("claim.lost", error=str(error), hint="it comes back in a moment, or when its lease runs out")
