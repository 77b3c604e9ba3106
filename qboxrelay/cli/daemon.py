"""Running something in an event loop until a signal asks it to stop.

In: an asynchronous main function. Out: its exit status. Never: a second way to handle signals.
"""

import asyncio
import errno
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from qboxrelay.cli.event_loop import RelayLoop
from qboxrelay.cli.plain import plain
from qboxrelay.cli.process import STOP_SIGNALS
from qboxrelay.descriptors import raise_limit
from qboxrelay.memory import collect_rarely, keep_large_apart

_REPEATED_ADDRESS = re.compile(r" \(while attempting to bind on address \(.*?\)\)")
OnSignal = Callable[[Callable[[], None]], None]
"""Takes what every stop signal is to call: those that come, and those that came already."""


def run_until_signal(main: Callable[[OnSignal], Awaitable[int]]) -> int:
    """Run `main(on_signal)`, with as many descriptors as are allowed. uvloop serves where it is installed."""

    async def with_signals() -> int:
        loop, signals = asyncio.get_running_loop(), _Signals()
        loop.set_exception_handler(quiet_without_descriptors)
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, signals.came)
        status = 1
        try:
            status = await main(signals.hand_over)
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
                # All is closed but Python itself: a signal now must not make another end of it.
                signal.signal(number, _leave_with(status))
        return status

    raise_limit()
    keep_large_apart()
    collect_rarely()
    with asyncio.Runner(loop_factory=RelayLoop) as runner:
        return runner.run(with_signals())


@contextmanager
def on_hangup(ask: Callable[[], None]) -> Iterator[None]:
    """SIGHUP calls `ask` while the block lasts; afterwards it is ignored."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, ask)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def fail(message: str) -> int:
    """One clear line on standard error, and the exit status for it."""
    print(f"qboxrelay: {plain(message)}", file=sys.stderr)
    return 1


def in_words(error: Exception) -> str:
    """An error's text for people: that of an OSError without its number, and without the address that Python repeats behind it."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    text = _REPEATED_ADDRESS.sub("", error.strerror)
    return f"{error.filename}: {text}" if error.filename else text


class _Signals:
    """Counts stop signals until somebody is there to be told."""

    def __init__(self) -> None:
        self._missed = 0
        self._stop = self._count

    def came(self) -> None:
        self._stop()

    def hand_over(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        for _ in range(self._missed):
            stop()

    def _count(self) -> None:
        self._missed += 1


def quiet_without_descriptors(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio tries accept again each second and says so with a traceback each time; `descriptors.watch` says it once a minute."""
    error = context.get("exception")
    if not isinstance(error, OSError) or error.errno not in {errno.EMFILE, errno.ENFILE}:
        loop.default_exception_handler(context)


def _leave_with(status: int) -> Callable[[int, FrameType | None], None]:
    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(status)

    return leave
