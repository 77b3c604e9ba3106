"""Group commit: calls that arrive while a commit is under way share the next one.

In: transactions of submissions. Out: their storage, durable when a call returns. Never: one call's fault that costs its neighbours; a call
without an answer, however the server behaves.

A connection that breaks under a commit leaves open whether it came through. The call is tried again as long as it has time: storing is done once
for each id, so that the answer is true at last. Only who has no time left is refused without knowing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from qboxrelay.model.submission import Submission
from qboxrelay.spool.port import SpoolError, SpoolUnreachable
from qboxrelay.spool.postgres.faults import SpoolConflict

_MAX_CALLS = 256
"""Bounds how long the first of a group waits for the others."""
_MAX_BYTES = 32_000_000
"""The group stands in memory a second time on its way to the server. A larger call goes alone."""
_AT_ONCE = 2
"""Commits under way at the same time: while one waits for the server's disk, the next one is made up."""
_TRIES = 3
_PAUSE = 0.2
"""Before the next try, when the server is away."""


@dataclass(slots=True)
class _Call:
    submissions: Sequence[Submission]
    size: int
    answer: "asyncio.Future[None]"
    until: float
    """By the event loop's clock: then it is refused."""
    error: SpoolError | None = None
    """What the latest try came to."""


class Store(Protocol):
    """Of a group, within so many seconds; `again`: some of it may be there already."""

    async def __call__(self, submissions: Sequence[Submission], seconds: float, *, again: bool) -> None: ...


Admit = Callable[[int, int], Awaitable[None]]


class Release(Protocol):
    """Of one call: its submissions and their bytes."""

    def __call__(self, submissions: Sequence[Submission], size: int, *, stored: bool) -> None: ...


class Writer:
    """`store` writes a group as one commit, within so many seconds; `admit` refuses a call of so many messages and bytes by raising; `release` hears for each call that
    was admitted whether it is stored.
    """

    def __init__(self, *, store: Store, admit: Admit, release: Release, timeout: float) -> None:
        """`timeout`: seconds until a call is answered, in any case."""
        self._timeout = timeout
        self._store = store
        self._admit = admit
        self._release = release
        self._calls: deque[_Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def put(self, submissions: Sequence[Submission], size: int) -> None:
        """Raises `SpoolFull`, `SpoolError`: nothing of the call is stored. Raises `SpoolUnreachable`: it may be."""
        if self._closed:
            raise SpoolError("the spool is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        self._calls.append(_Call(submissions, size, answer, loop.time() + self._timeout))
        if len(self._tasks) < _AT_ONCE:
            task = asyncio.create_task(self._work(), name="spool-writer")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # The commit goes on when the waiting session goes away: its result is then nobody's, but it is not undone.
        await answer

    async def close(self) -> None:
        """Commit what was handed in; a server that is away is not waited for any longer."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _work(self) -> None:
        while self._calls:
            group = self._gather()
            try:
                admitted = [call for call in group if self._in_time(call) and await self._admitted(call)]
                if await self._commit(admitted):
                    await asyncio.sleep(_PAUSE)
            except BaseException as error:
                # Of what nobody foresaw the type alone: its text may hold a mail.
                told = (
                    error if isinstance(error, SpoolError) else SpoolError(f"the spool failed: {type(error).__name__}")
                )
                for call in group:
                    _answer(call, told)
                raise

    def _gather(self) -> list[_Call]:
        group = [self._calls.popleft()]
        size = group[0].size
        while self._calls and len(group) < _MAX_CALLS and size + self._calls[0].size <= _MAX_BYTES:
            group.append(self._calls.popleft())
            size += group[-1].size
        return group

    def _in_time(self, call: _Call) -> bool:
        if call.until > asyncio.get_running_loop().time():
            return True
        _answer(call, call.error or SpoolUnreachable(f"the database took no mail within {self._timeout:g} s"))
        return False

    async def _admitted(self, call: _Call) -> bool:
        try:
            await self._admit(len(call.submissions), call.size)
        except SpoolError as error:
            _answer(call, error)
            return False
        return True

    async def _commit(self, group: list[_Call]) -> bool:
        """Commit the group as one; when that fails, each alone, so that only the culprit hears of it. True when some are to be tried again."""
        if not group:
            return False
        error = await self._try(group)
        if isinstance(error, SpoolUnreachable):
            return self._again(group, error)
        if error is None or len(group) == 1:
            for call in group:
                self._release(call.submissions, call.size, stored=error is None)
                _answer(call, error)
            return False
        return any([await self._commit([call]) for call in group if self._still(call)])

    def _still(self, call: _Call) -> bool:
        if self._in_time(call):
            return True
        self._release(call.submissions, call.size, stored=False)
        return False

    def _again(self, group: Sequence[_Call], error: SpoolError) -> bool:
        """First in the line, those that have time left."""
        latest = asyncio.get_running_loop().time() + _PAUSE
        for call in reversed(group):
            self._release(call.submissions, call.size, stored=False)
            call.error = error
            if self._closed or call.until <= latest:
                _answer(call, error)
            else:
                self._calls.appendleft(call)
        return bool(self._calls)

    async def _try(self, group: list[_Call]) -> SpoolError | None:
        submissions = [submission for call in group for submission in call.submissions]
        until = min(call.until for call in group)
        again = any(call.error is not None for call in group)
        for number in range(1, _TRIES + 1):
            try:
                left = max(_PAUSE, until - asyncio.get_running_loop().time())
                await self._store(submissions, left, again=again)
            except SpoolConflict as error:
                if number == _TRIES:
                    return error
            except SpoolError as error:
                return error
            except Exception as error:  # noqa: BLE001 - whatever it is belongs to these calls, and the next ones need a writer
                return SpoolError(f"the spool failed: {type(error).__name__}")
            else:
                break
        return None


def _answer(call: _Call, error: SpoolError | None) -> None:
    if call.answer.done():
        return
    if error is None:
        call.answer.set_result(None)
    else:
        call.answer.set_exception(error)
