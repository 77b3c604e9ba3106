"""The port, on PostgreSQL: which statements are one transaction, and who is woken by its commit.

In: the port's calls. Out: the port's answers. Never: a mail that is known to this node only; a wait without end for the server.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from qboxrelay import failpoints
from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Batch, State, Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import Depth, Fact, Handled, Pause, Record, RequestResult, Result, Untold
from qboxrelay.spool.postgres import acts, facts, looking, notices, reads
from qboxrelay.spool.postgres.changes import Changes
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.leasing import Leasing
from qboxrelay.spool.postgres.opening import report, state_of
from qboxrelay.spool.postgres.prune import Pruner
from qboxrelay.spool.postgres.put import Arrivals
from qboxrelay.spool.postgres.transacting import Transactions, insist
from qboxrelay.spool.postgres.usage import Usage
from qboxrelay.spool.postgres.wakeups import Wakeups
from qboxrelay.spool.postgres.writer import Writer
from qboxrelay.spool.sqlite.database import prepare_directory
from qboxrelay.spool.sqlite.lock import DirectoryLock
from qboxrelay.spool.statements import load_statements
from qboxrelay.spool.times import to_ms

CommitObserver = Callable[[int, float], None]
"""Hears of each commit of mail: how many mails it took in, and its seconds."""


class PostgresSpool:
    """One node's way to a spool that any number of relays share. `open` is the way to make one."""

    def __init__(
        self,
        *,
        database: Database,
        lock: DirectoryLock,
        node: str,
        settings: SpoolSettings,
        clock: Clock,
        expired_into: State,
        horizon: timedelta,
        on_commit: CommitObserver,
    ) -> None:
        self._sql = sql = load_statements("postgres")
        self._database = database
        self._lock = lock
        self._node = node
        self._settings = settings
        self._clock = clock
        self._horizon = horizon
        self._on_commit = on_commit
        keeps_sent = settings.keep_raw == "always"
        self._arrivals = Arrivals(sql, keep_raw=settings.keep_raw != "never")
        self._transactions = Transactions(database, sql, committed=self._committed)
        self._leasing = Leasing(
            sql,
            self._transactions,
            node=node,
            clock=clock,
            server_now=database.now_ms,
            expired_into=expired_into,
            horizon=horizon,
            keep_raw=keeps_sent,
            troubles=database.troubles,
        )
        self._pruner = Pruner(sql, keep_raw=keeps_sent)
        self._followed = acts.Followed(sql)
        self._usage = Usage(settings, read=self._waiting)
        self._wakeups = Wakeups(database, notify=sql["notify"], find=self._work_for, tidy=self._leasing.end_unheard)
        self._timeout = settings.commit_timeout.total_seconds()
        self._writer = Writer(store=self._store, admit=self._usage.admit, release=self._stored, timeout=self._timeout)
        self._closed = False

    @classmethod
    async def open(
        cls,
        database: Database,
        *,
        data_dir: Path,
        node: str,
        settings: SpoolSettings,
        clock: Clock,
        expired_into: State = State.QUEUED,
        horizon: timedelta = timedelta(days=1),
        on_commit: CommitObserver = lambda _mails, _seconds: None,
    ) -> Self:
        """Lock the data directory, and end what a dead process of this node left under way. The database is
        closed with it. For `expired_into` and `horizon` see `SqliteSpool`. Raises `SpoolLocked`, `SpoolError`.
        """
        try:
            lock = await asyncio.to_thread(_locked, data_dir)
        except BaseException:
            await database.close()
            raise
        spool = cls(
            database=database,
            lock=lock,
            node=node,
            settings=settings,
            clock=clock,
            expired_into=expired_into,
            horizon=horizon,
            on_commit=on_commit,
        )
        try:
            await spool._begin()
        except BaseException:
            await spool.close()
            raise
        return spool

    @property
    def database(self) -> Database:
        """For what other parts of this node keep there."""
        return self._database

    async def put(self, submissions: Sequence[Submission]) -> None:
        await self._writer.put(submissions, self._arrivals.size(submissions))

    async def put_again(self, submissions: Sequence[Submission]) -> None:
        """Those of them that were never here, also not before an operator deleted them; in a commit of their own. Raises as `put` does."""
        self._transactions.require_open()
        size = self._arrivals.size(submissions)
        await self._usage.admit(len(submissions), size)
        stored = False
        try:
            # In the way is a commit of the same mail, whose connection broke: then it is there.
            await insist(lambda: self._store(submissions, self._timeout, again=True))
            stored = True
        finally:
            self._stored(submissions, size, stored=stored)

    async def claim(self, account: str, *, max_messages: int, max_bytes: int, lease: timedelta) -> Batch | None:
        self._wakeups.clear(account)
        return await self._leasing.claim(account, max_messages=max_messages, max_bytes=max_bytes, lease=lease)

    async def claim_overdue(
        self, account: str, *, received_before: datetime, max_messages: int, max_bytes: int, lease: timedelta
    ) -> Batch | None:
        most = (max_messages, max_bytes)
        return await self._leasing.claim_overdue(account, received_before=received_before, most=most, lease=lease)

    async def record(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        await self._leasing.record(batch, request, results)

    async def split(
        self, batch: Batch, request: RequestResult, parts: Sequence[Sequence[int]], lease: timedelta
    ) -> list[Batch]:
        return await self._leasing.split(batch, request, parts, lease)

    async def next_due_at(self, account: str) -> datetime | None:
        now = self._clock.now()
        async with self._reading() as connection:
            return await looking.next_due(
                self._sql,
                connection,
                account,
                now=now,
                server_now=self._database.now_ms(),
                horizon=self._horizon,
                leases_end=self._leasing.end_of_leases(),
            )

    async def wait_for_work(self, account: str) -> None:
        self._transactions.require_open()
        await self._wakeups.wait(account)

    async def depth(self) -> Depth:
        async with self._reading() as connection:
            return await looking.depth(self._sql, connection)

    async def find(self, id_: str) -> list[Record]:
        async with self._reading() as connection:
            return await reads.find(self._sql, connection, id_)

    async def latest(self, *, state: State | None = None, limit: int = 100) -> list[Record]:
        async with self._reading() as connection:
            return await reads.latest(self._sql, connection, state, limit)

    async def addressees(self) -> list[str]:
        async with self._reading() as connection:
            return await notices.addressees(self._sql, connection)

    async def untold(self, address: str, *, limit: int) -> list[Untold]:
        async with self._reading() as connection:
            return await notices.untold(self._sql, connection, address, limit)

    async def notices_since(self, address: str, since: datetime, *, limit: int) -> list[datetime]:
        async with self._reading() as connection:
            return await notices.since(self._sql, connection, address, since, self._clock.now(), limit)

    async def tell(self, address: str, told: Sequence[Untold], notice: Submission | None) -> bool:
        stored = [notice] if notice is not None else []
        size = self._arrivals.size(stored)

        async def work(connection: Connection, changes: Changes) -> bool:
            if not await notices.mark_told(self._sql, connection, address, told):
                return False
            await self._arrivals.store(connection, stored, self._clock.now())
            changes.woken.update(one.account for one in stored)
            return True

        async def admitted() -> bool:
            await self._usage.admit(len(stored), size)
            done = False
            try:
                done = await self._transactions.change(work)
            finally:
                self._usage.release(len(stored), size, stored=done)
            return done

        return await self._transactions.finish(admitted)

    async def prune(self) -> int:
        now = self._clock.now()
        trail = to_ms(now - self._settings.keep_trail)
        payloads = to_ms(now - self._settings.keep_failed_payloads)

        async def work(connection: Connection, _changes: Changes) -> int:
            return await self._pruner.prune(connection, trail_before=trail, payloads_before=payloads)

        return await self._transactions.finish(lambda: self._transactions.change(work))

    async def remember(self, name: str, value: bytes) -> None:
        async with self._reading() as connection:
            await facts.remember(self._sql, connection, name, value)

    async def recall(self, name: str, *, after: int = 0) -> Fact | None:
        async with self._reading() as connection:
            return await facts.recall(self._sql, connection, name, after)

    async def follow(self) -> list[Handled]:
        async with self._reading() as connection:
            # The caller has come back: what it was given last time is told of, and need not be again after a restart.
            if self._followed.unmarked:
                await self._followed.mark(connection)
            found = await self._followed.next(connection)
        if found:
            await self._usage.refresh()
            self._followed.took(found)
        for _, one in found:
            self._wakeups.wake_here(one.account)
        return [one for _, one in found]

    async def changed(self) -> None:
        self._transactions.require_open()
        await self._wakeups.acted()

    async def pauses(self) -> list[Pause]:
        async with self._reading() as connection:
            return await reads.pauses(self._sql, connection)

    async def check_writable(self) -> None:
        self._transactions.require_open()
        await self._usage.admit(1, 0)
        self._usage.release(1, 0, stored=False)
        async with self._database.reading(self._timeout) as connection:
            await connection.execute(self._sql["heartbeat"], {"now": to_ms(self._clock.now())})

    async def damaged(self) -> str:
        """Never: the server sees to its files, and refuses what it cannot do."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    def cut_off(self) -> None:
        """While it closes: the server is not waited for any longer."""
        self._database.cut_off()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._transactions.refuse()
        await self._writer.close()
        await self._transactions.close()
        await self._wakeups.close()
        await self._database.close()
        await asyncio.to_thread(self._lock.release)

    async def _begin(self) -> None:
        database = self._database
        async with database.reading() as connection:
            report(await state_of(connection), place=database.place, schema=database.schema, node=self._node)
            await self._followed.begin(connection)
        await self._leasing.end_former()
        await self._usage.refresh()
        self._wakeups.start()

    def _committed(self, changes: Changes) -> None:
        self._usage.count(changes.waiting_messages, changes.waiting_bytes)
        self._wakeups.wake(changes.woken)

    async def _store(self, submissions: Sequence[Submission], seconds: float, *, again: bool = False) -> None:
        monotonic = self._clock.monotonic
        async with self._database.reading(seconds) as connection:
            failpoints.reach("before-commit")
            started = monotonic()
            await self._arrivals.store(connection, submissions, self._clock.now(), again=again)
            if again:
                # A commit that was found to be through may have come through here only: one that writes waits for the replicas, and for all
                # that was before it.
                await connection.execute(self._sql["heartbeat"], {"now": to_ms(self._clock.now())})
            failpoints.reach("after-commit")
        self._on_commit(len(submissions), monotonic() - started)

    def _stored(self, submissions: Sequence[Submission], size: int, *, stored: bool) -> None:
        self._usage.release(len(submissions), size, stored=stored)
        if stored:
            self._wakeups.wake({submission.account for submission in submissions})

    async def _waiting(self) -> tuple[int, int]:
        async with self._database.reading(self._timeout) as connection:
            return await looking.waiting(self._sql, connection)

    async def _work_for(self, accounts: list[str]) -> list[str]:
        async with self._database.reading() as connection:
            now, server_now = self._clock.now(), self._database.now_ms()
            found = await looking.work_for(self._sql, connection, accounts, now=now, server_now=server_now)
        return [*found, *self._leasing.doubtful().intersection(accounts)]

    def _reading(self) -> AbstractAsyncContextManager[Connection]:
        self._transactions.require_open()
        return self._database.reading()


def _locked(data_dir: Path) -> DirectoryLock:
    prepare_directory(data_dir)
    return DirectoryLock.acquire(data_dir / "spool.lock")
