"""File descriptors: as many as the process may have, divided so that mail can leave while the doors are crowded.

In: limits of the operating system, what the listeners want. Out: what each may have; a line in the log when none is left. Never: a limit
above what the administrator set.
"""

import os
import resource
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import structlog

from qboxrelay.model.clock import Clock, until_next

log = structlog.get_logger()

_SPARE = 24
"""For what comes and goes: requests for metrics, questions to DNS, a connection that is told 421."""
_LOOK_EVERY = timedelta(seconds=5)
_LOOK_SELDOM = timedelta(minutes=1)
"""While half of them are free: an idle relay is not to be woken for it."""
_SAY_EVERY_SECONDS = 60.0
_HINT = "raise LimitNOFILE= of the service, or ulimit -n"


def raise_limit() -> None:
    """Use all that is allowed. The lower limit of most systems, 1024, is for programs that use select()."""
    lower, upper = resource.getrlimit(resource.RLIMIT_NOFILE)
    if lower != upper:
        resource.setrlimit(resource.RLIMIT_NOFILE, (upper, upper))


def shared_out(wanted: Sequence[int], *, others: int) -> list[int]:
    """Connections that each listener may have, when it wants so many and others will open so many descriptors besides those that are open
    now. Less than wanted is said in the log.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = limit - _in_use() - others - _SPARE
    if limit == resource.RLIM_INFINITY or sum(wanted) <= room:
        return list(wanted)
    shares = [max(1, count * room // sum(wanted)) for count in wanted]
    log.warning("descriptors.few", limit=limit, max_connections=sum(wanted), possible=sum(shares), hint=_HINT)
    return shares


async def watch(clock: Clock) -> None:
    """Say it once a minute while no descriptor is left; connections then wait, or are dropped by the event loop without a word."""
    said_at = -_SAY_EVERY_SECONDS
    while True:
        if clock.monotonic() - said_at >= _SAY_EVERY_SECONDS and not _is_one_left():
            said_at = clock.monotonic()
            log.error("descriptors.used_up", limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0], hint=_HINT)
        await clock.sleep(until_next(clock, _LOOK_SELDOM) if _are_plenty_left() else _LOOK_EVERY)


def _in_use() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0


def _are_plenty_left() -> bool:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # Looking takes one, too: without any nothing can be counted.
    return limit == resource.RLIM_INFINITY or 0 < _in_use() <= limit // 2


def _is_one_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True
