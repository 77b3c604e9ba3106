"""The one place that knows which backends there are: `[spool] url` names one.

In: settings. Out: the ports, opened on what the url names. Never: SQL.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import State
from qboxrelay.settings.paths import spool_path
from qboxrelay.settings.schema import Settings
from qboxrelay.spool.port import Fact, Spool
from qboxrelay.spool.queue import Queue
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.spool.sqlite.facts import FactsBeside
from qboxrelay.spool.sqlite.queue import SqliteQueue


class Facts(Protocol):
    """What other parts keep in the spool, beside a relay that may be running. Raises `SpoolError` where there is no spool yet."""

    async def remember(self, name: str, value: bytes) -> None: ...

    async def recall(self, name: str, *, after: int = 0) -> Fact | None: ...


async def open_spool(
    settings: Settings,
    *,
    clock: Clock,
    expired_into: State,
    horizon: timedelta,
    on_commit: Callable[[int, float], None],
) -> Spool:
    """The relay's own. Raises `SpoolLocked`, `SpoolError`."""
    return await SqliteSpool.open(
        spool_path(settings),
        settings=settings.spool,
        clock=clock,
        expired_into=expired_into,
        horizon=horizon,
        on_commit=on_commit,
    )


def open_queue(settings: Settings, *, clock: Clock) -> Queue:
    """For an operator, beside a relay that may be running."""
    return SqliteQueue(spool_path(settings), clock=clock)


def open_facts(settings: Settings) -> Facts:
    return FactsBeside(spool_path(settings))
