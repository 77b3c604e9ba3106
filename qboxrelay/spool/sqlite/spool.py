"""The port, on SQLite: which function runs in the writer's transaction, and who is woken by its commit.

In: the port's calls. Out: the port's answers. Never: SQL on the event loop's thread.
"""

import asyncio
import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self, TypeVar

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Batch, State, Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import (
    Depth,
    Fact,
    Handled,
    Pause,
    Record,
    RequestResult,
    Result,
    SpoolDamaged,
    SpoolError,
    Untold,
)
from qboxrelay.spool.sqlite import acts, facts, notices, reads
from qboxrelay.spool.sqlite.changes import Changes
from qboxrelay.spool.sqlite.claim import Claimer, Found
from qboxrelay.spool.sqlite.content import Content
from qboxrelay.spool.sqlite.damage import mark
from qboxrelay.spool.sqlite.database import of_one_moment, reusable_bytes
from qboxrelay.spool.sqlite.fresh import Fresh
from qboxrelay.spool.sqlite.leases import Leases
from qboxrelay.spool.sqlite.many import Many
from qboxrelay.spool.sqlite.oldest import by_account, oldest_queued, oldest_waiting
from qboxrelay.spool.sqlite.opening import Opened, open_files
from qboxrelay.spool.sqlite.prune import Pruner
from qboxrelay.spool.sqlite.put import Arrivals
from qboxrelay.spool.sqlite.record import Recorder
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.sqlite.usage import Usage
from qboxrelay.spool.sqlite.writer import Writer, as_spool_error
from qboxrelay.spool.statements import load_statements
from qboxrelay.spool.times import to_ms

log = structlog.get_logger()

_LOST = "a relay that did not stop by itself left requests without an answer: the API may have these mails"

T = TypeVar("T")
CommitObserver = Callable[[int, float], None]
"""Hears of each commit: how many calls it served, and its seconds."""


class SqliteSpool:
    """A spool in one directory of one machine. `open` is the way to make one."""

    def __init__(
        self,
        *,
        files: Opened,
        path: Path,
        settings: SpoolSettings,
        clock: Clock,
        expired_into: State,
        horizon: timedelta,
        on_commit: CommitObserver,
    ) -> None:
        self._sql = sql = load_statements("sqlite")
        self._files = files
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._damage: asyncio.Future[str] = self._loop.create_future()
        self._settings = settings
        self._clock = clock
        self._expired_into = expired_into
        self._horizon = horizon
        self._on_commit = on_commit
        self._connection = connection = files.writer
        content = Content(sql, keep_raw=settings.keep_raw == "always")
        self._fresh = Fresh(sql)
        self._arrivals = Arrivals(sql, self._fresh, keep_raw=settings.keep_raw != "never")
        self.is_one_statement = self._arrivals.is_one_statement
        self._claimer = Claimer(sql, self._fresh, horizon=horizon, monotonic=clock.monotonic)
        self._recorder = Recorder(sql, content)
        self._pruner = Pruner(sql, content)
        self._leases = Leases()
        self._acts = acts.Followed(sql, connection)
        self._changes = Changes(path.parent, clock)
        self._add_depth = Many(sql["add_depth"])
        self._usage = Usage(
            settings=settings,
            directory=path.parent,
            reusable_bytes=lambda: reusable_bytes(connection),
            monotonic=clock.monotonic,
        )
        self._work: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="spool-reader")
        self._closed = False
        self._writer = Writer(connection, observer=self, monotonic=clock.monotonic, loop=self._loop)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        settings: SpoolSettings,
        clock: Clock,
        expired_into: State = State.QUEUED,
        horizon: timedelta = timedelta(days=1),
        on_commit: CommitObserver = lambda _group, _seconds: None,
    ) -> Self:
        """Lock the directory, open and migrate the database, end what a dead process left under way.

        `expired_into` is QUEUED or HELD: what becomes of an attempt that nobody recorded. `horizon` is longer than any wait
        the dispatcher asks for. A damaged file is saved aside, and what can be read of it goes on in a new one. Raises `SpoolLocked`,
        `SpoolError`.
        """
        files = await asyncio.to_thread(open_files, path, stamp=f"{clock.now():%Y%m%dT%H%M%SZ}")
        if files.rescued is not None:
            log.error("spool.rescued", **files.rescued.shown())
        spool = cls(
            files=files,
            path=path,
            settings=settings,
            clock=clock,
            expired_into=expired_into,
            horizon=horizon,
            on_commit=on_commit,
        )
        try:
            lost = await spool._writer.run(spool._begin)
        except BaseException:
            await spool.close()
            raise
        for account, count in lost.items():
            log.warning("attempts.lost", account=account, count=count, state=expired_into.value, hint=_LOST)
        return spool

    async def put(self, submissions: Sequence[Submission]) -> None:
        size = self._arrivals.size(submissions)
        await self._writer.run(
            lambda transaction: self._arrivals.add(transaction, submissions),
            hands_in=True,
            admit=lambda transaction: self._usage.require_room(transaction, len(submissions), size),
        )

    async def claim(self, account: str, *, max_messages: int, max_bytes: int, lease: timedelta) -> Batch | None:
        self._work[account].clear()

        def choose(transaction: Transaction, now: datetime) -> Found:
            self._end_leases(transaction, now)
            return self._claimer.claim(
                transaction, account, now, max_messages=max_messages, max_bytes=max_bytes, lease=lease
            )

        return await self._lease(account, choose)

    async def claim_overdue(
        self, account: str, *, received_before: datetime, max_messages: int, max_bytes: int, lease: timedelta
    ) -> Batch | None:
        most = (max_messages, max_bytes)
        if account in self._fresh.accounts:
            await self._writer.run(self._fresh.line_up)
        keys = await self._read(lambda connection: reads.overdue(self._sql, connection, account, received_before, most))
        if not keys:
            return None
        return await self._lease(
            account, lambda transaction, now: self._claimer.claim_keys(transaction, account, keys, now, lease=lease)
        )

    async def _lease(self, account: str, choose: Callable[[Transaction, datetime], Found]) -> Batch | None:
        taken: list[Batch] = []

        def work(transaction: Transaction) -> Batch | None:
            now = self._clock.now()
            found = choose(transaction, now)
            if found is None:
                return None
            batch, unreadable = found
            self._recorder.hold_unreadable(transaction, account, batch.request_key, unreadable, now)
            taken[:] = [batch]
            return batch if batch.submissions else None

        def undo(transaction: Transaction) -> None:
            for batch in taken:
                self._recorder.give_back(transaction, batch, self._clock.now())

        try:
            return await self._writer.run(work)
        except asyncio.CancelledError:
            # Nobody will record it, and nothing was sent: it need not wait for its lease to run out.
            self._writer.run_unheard(undo)
            raise

    async def record(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        await self._answer(
            batch,
            lambda transaction: self._recorder.record(
                transaction, batch.account, batch.request_key, answer=request, results=results, now=self._clock.now()
            ),
        )

    async def split(
        self, batch: Batch, request: RequestResult, parts: Sequence[Sequence[int]], lease: timedelta
    ) -> list[Batch]:
        def work(transaction: Transaction) -> list[Batch]:
            now = self._clock.now()
            owned = self._recorder.owned(transaction, batch.request_key, [key for part in parts for key in part])
            self._recorder.end_for_split(transaction, batch.request_key, request, owned, now)
            batches = []
            for part in parts:
                chosen = [(key, owned[key][0]) for key in part if key in owned]
                if chosen:
                    batches.append(self._claimer.lease(transaction, batch.account, chosen, now=now, lease=lease)[0])
            return batches

        return await self._answer(batch, work)

    async def next_due_at(self, account: str) -> datetime | None:
        now = self._clock.now()
        fresh = account in self._fresh.accounts
        due = await self._read(
            lambda connection: reads.next_due(self._sql, connection, account, now, self._horizon, fresh=fresh)
        )
        until = self._leases.next_end(account)
        if until is None:
            return due
        lease_end = now + timedelta(seconds=until - self._clock.monotonic())
        return lease_end if due is None else min(due, lease_end)

    async def wait_for_work(self, account: str) -> None:
        self._require_open()
        await self._work[account].wait()

    async def depth(self) -> Depth:
        accounts = self._usage.by_account()
        oldest = await self._read(lambda connection: oldest_waiting(self._sql, connection, accounts))
        messages, sizes = self._usage.by_state()
        first, each = oldest_queued(oldest), by_account(accounts, oldest)
        return Depth(messages=messages, bytes=sizes, oldest_queued_at=first, accounts=each)

    async def find(self, id_: str) -> list[Record]:
        return await self._read(lambda connection: reads.find(self._sql, connection, id_))

    async def latest(self, *, state: State | None = None, limit: int = 100) -> list[Record]:
        return await self._read(lambda connection: reads.latest(self._sql, connection, state, limit))

    async def addressees(self) -> list[str]:
        return await self._read(lambda connection: notices.addressees(self._sql, connection))

    async def untold(self, address: str, *, limit: int) -> list[Untold]:
        return await self._read(lambda connection: notices.untold(self._sql, connection, address, limit))

    async def notices_since(self, address: str, since: datetime, *, limit: int) -> list[datetime]:
        now = self._clock.now()
        return await self._read(lambda connection: notices.since(self._sql, connection, address, since, now, limit))

    async def tell(self, address: str, told: Sequence[Untold], notice: Submission | None) -> bool:
        def work(transaction: Transaction) -> bool:
            if not notices.mark_told(self._sql, transaction.connection, address, told):
                return False
            self._arrivals.add(transaction, [notice] if notice is not None else [])
            return True

        size = len(notice.payload) if notice is not None else 0
        return await self._writer.run(
            work, admit=lambda transaction: self._usage.require_room(transaction, 1, size) if notice else None
        )

    async def prune(self) -> int:
        now = self._clock.now()
        trail = to_ms(now - self._settings.keep_trail)
        payloads = to_ms(now - self._settings.keep_failed_payloads)
        return await self._writer.run(
            lambda transaction: self._pruner.prune(transaction, trail_before=trail, payloads_before=payloads)
        )

    async def remember(self, name: str, value: bytes) -> None:
        await self._writer.run(lambda transaction: facts.remember(self._sql, transaction.connection, name, value))

    async def recall(self, name: str, *, after: int = 0) -> Fact | None:
        return await self._read(lambda connection: facts.recall(self._sql, connection, name, after))

    async def follow(self) -> list[Handled]:
        # The caller has come back: what it was given last time is told of, and need not be again after a restart.
        if self._acts.unmarked:
            await self._writer.run(self._acts.mark)
            self._acts.marked()
        found = await self._read(self._acts.next)
        if found:
            await self._writer.run(self._reload)
            self._acts.took(found)
        for _, one in found:
            for account in [one.account] if one.account else list(self._work):
                self._work[account].set()
        return [one for _, one in found]

    async def changed(self) -> None:
        await self._changes.wait()

    async def pauses(self) -> list[Pause]:
        return await self._read(lambda connection: reads.pauses(self._sql, connection))

    async def check_writable(self) -> None:
        await self._writer.run(
            lambda transaction: self.overwrite(transaction.connection),
            admit=lambda transaction: self._usage.require_room(transaction, 1, 0),
        )

    async def damaged(self) -> str:
        return await asyncio.shield(self._damage)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for event in self._work.values():
            event.set()
        self._changes.close()
        await self._writer.close()
        await asyncio.to_thread(self._close_files)

    def committing(self, transaction: Transaction) -> None:
        """Write what arrived, and the change of depth with the rows that changed it."""
        self._arrivals.store(transaction, self._clock.now())
        transaction.store_depth(self._add_depth)

    def applied(self, transaction: Transaction) -> None:
        """Follow the commit in memory, in the thread that reads these figures next."""
        self._fresh.applied(transaction)
        self._leases.apply(transaction)
        self._usage.apply(transaction)

    def committed(self, transaction: Transaction, group: int, seconds: float) -> None:
        """Wake who waits for work."""
        for account in transaction.woken:
            self._work[account].set()
        self._on_commit(group, seconds)

    def damaged_file(self, text: str) -> None:
        """Remember it for the next start, and tell who waits to hear of it."""
        mark(self._path, text)
        # A loop that is closed has nobody who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell_damage, text)

    def _tell_damage(self, text: str) -> None:
        if not self._damage.done():
            self._damage.set_result(text)

    def overwrite(self, connection: sqlite3.Connection) -> None:
        connection.execute(self._sql["heartbeat"], {"now": to_ms(self._clock.now())})

    async def _answer(self, batch: Batch, work: Callable[[Transaction], T]) -> T:
        try:
            return await self._writer.run(work)
        except SpoolError:
            self._leases.extend(batch.request_key, self._clock.monotonic())
            raise

    def _end_leases(self, transaction: Transaction, now: datetime) -> None:
        ran_out = self._leases.ran_out(self._clock.monotonic())
        if ran_out:
            self._recorder.expire(transaction, ran_out, self._expired_into, now)

    def _begin(self, transaction: Transaction) -> Counter[str]:
        self._reload(transaction)
        # The lock is ours, so whatever is under way belongs to a process that is gone.
        return self._recorder.expire(transaction, None, self._expired_into, self._clock.now())

    def _reload(self, transaction: Transaction) -> None:
        """What this group changes comes on top of it, once it is committed."""
        rows = transaction.connection.execute(self._sql["depth"]).fetchall()
        self._usage.reload([*rows, *self._fresh.figures(transaction)])

    def _require_open(self) -> None:
        if self._closed:
            raise SpoolError("the spool is closed")

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._require_open()
        try:
            return await self._loop.run_in_executor(self._read_thread, of_one_moment, work, self._files.reader)
        except (sqlite3.Error, SpoolDamaged) as error:
            refused = as_spool_error(error)
            if isinstance(refused, SpoolDamaged):
                await asyncio.to_thread(self.damaged_file, str(refused))
            raise refused from error

    def _close_files(self) -> None:
        self._read_thread.shutdown()
        self._files.close()
