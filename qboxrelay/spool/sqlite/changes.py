"""Waiting until somebody writes to the spool's file, without looking again and again.

In: a directory. Out: a wait that ends when a file in it was written to; Linux's inotify says so. Never: a change that is missed for longer than
`at_most`: where there is no inotify (another system, all watches taken, a network file system) the wait ends then; or one whose sign came long
before it could be seen: the wait after a sign is a short one.
"""

import asyncio
import contextlib
import ctypes
import os
from datetime import timedelta
from pathlib import Path

from qboxrelay.model.clock import Clock

_IN_MODIFY = 0x2
"""inotify(7): a file was written to. The database's log is one, whoever writes."""
_EVENT_BYTES = 65536

SETTLE, SOON, AT_MOST = timedelta(seconds=1), timedelta(seconds=15), timedelta(minutes=10)
"""How long an operator's act may wait to be taken up: where the system tells of it; where the disk takes longer than that to flush the commit
of which it tells; where nothing tells of it.
"""


class Changes:
    """Watches from the first wait on; `close` ends it."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        settle: timedelta = SETTLE,
        soon: timedelta = SOON,
        at_most: timedelta = AT_MOST,
    ) -> None:
        """`settle`: how long a wait goes on after the first sign, which comes before the commit can be seen. Without a watch every wait lasts
        as long. `soon`: how long the wait behind it lasts at most, and the first one.
        """
        self._directory = directory
        self._clock = clock
        self._settle = settle
        self._soon, self._at_most = soon.total_seconds(), at_most.total_seconds()
        self._signed = True
        """Whether the last wait ended with a sign; what was written before the first one gave none."""
        self._descriptor: int | None = None
        self._begun = False

    async def wait(self) -> None:
        """Until something was written since the last wait; what is written while it settles ends the next one."""
        if not self._begun:
            self._begun = True
            self._descriptor = _watch(self._directory)
        if self._descriptor is not None:
            longest, self._signed = self._soon if self._signed else self._at_most, False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest):
                    await _readable(self._descriptor)
                    self._signed = True
            _empty(self._descriptor)
        await self._clock.sleep(self._settle)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _watch(directory: Path) -> int | None:
    """A descriptor that can be read when a file was written to; None where that is not to be had."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return None
    if descriptor < 0:
        return None
    if libc.inotify_add_watch(descriptor, os.fsencode(directory), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return descriptor


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    # One sign is enough: while mail comes, each commit would wake the loop several times.
    loop.add_reader(descriptor, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(descriptor)


def _empty(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, _EVENT_BYTES):
            pass
