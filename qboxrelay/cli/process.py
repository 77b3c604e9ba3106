"""What a process needs before anything else is imported or started.

In: the process as it was started. Out: descriptors and signal handlers that the rest can rely on. Never: an import that takes time; as
process 1 of a container a signal without a handler is lost.
"""

import os
import signal
import sys
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_DAEMONS = frozenset({"run", "demo", "sandbox"})


def prepare(argv: list[str]) -> None:
    """`argv` begins with the command's name."""
    _occupy_standard_descriptors()
    if argv and argv[0] in _DAEMONS:
        for number in STOP_SIGNALS:
            signal.signal(number, _leave)
    if argv and argv[0] == "run":
        # It asks for a reload, and there is nothing yet to do anew; without this it would end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _occupy_standard_descriptors() -> None:
    """After `2>&-` the next file or socket would become standard error: a log line would go into it, and uvloop aborts the process."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - lives as long as the process


def _leave(number: int, _frame: FrameType | None) -> None:
    """Until the event loop listens to signals: nothing has begun, so nothing is to be finished."""
    sys.exit(128 + number if number == signal.SIGINT else 0)
