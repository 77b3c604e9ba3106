"""The writer thread: commits together whatever has arrived while the last commit ran.

In: functions over a transaction, from the event loop. Out: their results, after the commit. Never: a result before the
commit, the event loop waiting for the disk, or one function's failure taking its neighbours with it.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from qboxrelay import failpoints
from qboxrelay.spool.port import SpoolCommitFailed, SpoolDamaged, SpoolError, SpoolFull, SpoolShortOfMemory
from qboxrelay.spool.sqlite.damage import is_damage
from qboxrelay.spool.sqlite.transaction import Transaction, begin, commit, require_none

T = TypeVar("T")

_MAX_GROUP = 256
"""Bounds how long the first of a group waits for the others: a group has less than twice as many."""
_THE_CALLERS = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""Errors of a statement that the file and the disk have no part in."""


class Observer(Protocol):
    """Who hears of commits: `committing` inside the transaction and `applied` after it, both in the writer thread; `committed` later, in the
    event loop. `is_one_statement`: `committing` will write what calls have handed in by one, which needs no transaction around it. `overwrite`
    writes some row, when a commit failed; `damaged_file` hears in the writer thread that the file is broken.
    """

    def is_one_statement(self, transaction: Transaction) -> bool: ...

    def committing(self, transaction: Transaction) -> None: ...

    def applied(self, transaction: Transaction) -> None: ...

    def committed(self, transaction: Transaction, group: int, seconds: float) -> None: ...

    def damaged_file(self, text: str) -> None: ...

    def overwrite(self, connection: sqlite3.Connection) -> None: ...


@dataclass(slots=True)
class _Work:
    run: Callable[[Transaction], Any]
    admit: Callable[[Transaction], None] | None
    future: "asyncio.Future[Any] | None"
    hands_in: bool = False
    result: Any = None
    error: Exception | None = None


class Writer:
    """Owns the connection that writes."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        observer: Observer,
        monotonic: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._observer = observer
        self._monotonic = monotonic
        self._loop = loop
        self._queue: SimpleQueue[list[_Work] | None] = SimpleQueue()
        self._handed_in: list[_Work] = []
        """What this turn of the event loop brought."""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._thread.start()

    def run(
        self,
        work: Callable[[Transaction], T],
        *,
        admit: Callable[[Transaction], None] | None = None,
        hands_in: bool = False,
    ) -> "asyncio.Future[T]":
        """Run `work` in the next group; its result comes after the commit, or a `SpoolError`: then nothing of it
        happened. `work` may run more than once, in a transaction each, of which at most the last one is committed.

        `admit` runs before it, changes no row, and refuses by raising: that costs its neighbours nothing. `hands_in`: `work` does not touch
        the file either, it leaves to the observer what is to be written.
        """
        if self._closed:
            raise SpoolError("the spool is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        # The commit goes on when the waiting session goes away: its result is then nobody's, but it is not undone.
        self._hand_in(_Work(work, admit, future, hands_in))
        return future

    def run_unheard(self, work: Callable[[Transaction], Any]) -> None:
        """Run `work` in a coming group, for no one; nothing happens when the writer is closed."""
        if not self._closed:
            self._hand_in(_Work(work, None, None))

    async def close(self) -> None:
        """Commit what was handed in, then stop the thread."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_in(self, work: _Work) -> None:
        """Mails that come in one turn of the event loop are one group. The thread would begin with the first of them alone, and all others
        wait for its commit.
        """
        if not self._handed_in:
            self._loop.call_soon(self._hand_over)
        self._handed_in.append(work)

    def _hand_over(self) -> None:
        works, self._handed_in = self._handed_in, []
        for at in range(0, len(works), _MAX_GROUP):
            self._queue.put(works[at : at + _MAX_GROUP])

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, last = self._gather(first)
            started = self._monotonic()
            transactions = self._commit(group)
            seconds = self._monotonic() - started
            # A loop that is closed has nobody who waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer, group, transactions, seconds)
            if last:
                return

    def _gather(self, first: list[_Work]) -> tuple[list[_Work], bool]:
        group = first
        while len(group) < _MAX_GROUP and not self._queue.empty():
            works = self._queue.get()
            if works is None:
                return group, True
            group += works
        return group, False

    def _commit(self, group: list[_Work]) -> list[Transaction]:
        """Commit the group as one; when a function fails, each alone, so that only the culprit hears of it."""
        try:
            transaction = self._commit_one(group)
        except _CommitFailed as failed:
            # No function is to blame. A failed fsync is reported once and the pages are gone: trying the same again would seem to succeed.
            self._refuse(group, failed.cause)
            return []
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller, not to this thread
            if len(group) == 1:
                self._refuse(group, as_spool_error(error))
                return []
        else:
            # It is committed, whatever comes, and the next ones need this thread: an observer that failed here, for want of memory, finds by
            # itself that it is behind the file.
            with contextlib.suppress(Exception):
                self._observer.applied(transaction)
            return [transaction]
        return [transaction for work in group for transaction in self._commit([work])]

    def _refuse(self, group: list[_Work], error: SpoolError) -> None:
        for work in group:
            work.error = work.error or error
        if isinstance(error, SpoolDamaged):
            self._observer.damaged_file(str(error))

    def _commit_one(self, group: list[_Work]) -> Transaction:
        transaction = Transaction(self._connection)
        self._undo_rest()
        together = not all(work.hands_in for work in group)
        if together:
            self._begin()
        try:
            for work in group:
                if _admitted(work, transaction):
                    work.result = work.run(transaction)
            if together or not self._observer.is_one_statement(transaction):
                self._commit_together(transaction)
            else:
                self._commit_statement(transaction)
            _reach("after-commit", transaction)
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return transaction

    def _commit_together(self, transaction: Transaction) -> None:
        if not self._connection.in_transaction:
            self._begin()
        self._observer.committing(transaction)
        _reach("before-commit", transaction)
        self._commit_rows()

    def _commit_statement(self, transaction: Transaction) -> None:
        """What calls have handed in, and nothing else: a statement alone gives up Python's lock twice, a transaction a dozen times, and each
        time must get it back from a busy event loop.
        """
        _reach("before-commit", transaction)
        try:
            self._observer.committing(transaction)
        except _THE_CALLERS:
            raise
        except sqlite3.Error as error:
            if not _is_locked(error):
                self._discard()
            raise _CommitFailed(_of_a_commit(error)) from error

    def _undo_rest(self) -> None:
        try:
            require_none(self._connection)
        except (sqlite3.Error, MemoryError) as error:
            raise _CommitFailed(as_spool_error(error)) from error

    def _begin(self) -> None:
        try:
            begin(self._connection)
        except sqlite3.Error as error:
            # Another program holds the file: waiting for it once is enough for the whole group.
            raise _CommitFailed(_of_a_commit(error)) from error

    def _commit_rows(self) -> None:
        try:
            commit(self._connection)
        except sqlite3.Error as error:
            self._discard()
            raise _CommitFailed(_of_a_commit(error)) from error

    def _discard(self) -> None:
        """After a failed fsync the commit stands complete in the log, and a crash would bring it back although its callers
        were refused. Writing anything else over its beginning makes it void.
        """
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN IMMEDIATE")
            self._observer.overwrite(self._connection)
            self._connection.execute("COMMIT")

    def _answer(self, group: list[_Work], transactions: list[Transaction], seconds: float) -> None:
        for work in group:
            if work.future is None or work.future.done():
                continue
            if work.error is None:
                work.future.set_result(work.result)
            else:
                work.future.set_exception(work.error)
        for transaction in transactions:
            self._observer.committed(transaction, len(group), seconds)


class _CommitFailed(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, cause: SpoolError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _admitted(work: _Work, transaction: Transaction) -> bool:
    work.error = None
    if work.admit is not None:
        try:
            work.admit(transaction)
        except SpoolFull as full:
            work.error = full
            return False
    return True


def _reach(point: str, transaction: Transaction) -> None:
    """These points are about mail that comes in."""
    if transaction.arrivals:
        failpoints.reach(point)


def _is_locked(error: sqlite3.Error) -> bool:
    """Another program has the file: nothing was written, and waiting for it once is enough."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _of_a_commit(error: sqlite3.Error) -> SpoolError:
    found = as_spool_error(error)
    return SpoolCommitFailed(str(found)) if type(found) is SpoolError else found


def as_spool_error(error: Exception) -> SpoolError:
    """SQLite's errors in the port's words; none of them is the mail's fault."""
    if isinstance(error, SpoolError):
        return error
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return SpoolFull("the disk has no space left")
    if isinstance(error, MemoryError) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOMEM:
        return SpoolShortOfMemory("the spool had too little memory")
    if is_damage(error):
        return SpoolDamaged(f"the spool's file is damaged: {error}")
    return SpoolError(f"the spool failed: {type(error).__name__}: {error}")
