"""The spool's figures for the metrics.

In: a spool, a clock. Out: `Figures`, as fresh as the latest scrape. Never: a scrape that fails because the spool cannot be read.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import State
from qboxrelay.spool.port import Depth, Spool, SpoolError
from qboxrelay.telemetry.metrics_spool import Figures, Waiting

_LONGEST_SECONDS = 5.0
"""A scrape is not worth more, however long a server keeps silent."""


class SpoolFigures:
    """`refresh`, then `latest`. The accounts that are given have every state, at 0 where there is nothing: a graph has no holes."""

    def __init__(self, spool: Spool, accounts: Iterable[str], clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._accounts = tuple(accounts)
        self._latest = Figures()

    def latest(self) -> Figures:
        return self._latest

    async def refresh(self) -> None:
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                self._latest = _figures(await self._spool.depth(), self._accounts, self._clock.now())
        except (SpoolError, TimeoutError):
            old = self._latest
            self._latest = Figures(waiting=old.waiting, oldest_queued_seconds=old.oldest_queued_seconds, readable=False)


def _figures(depth: Depth, accounts: Iterable[str], now: datetime) -> Figures:
    waiting = {(account, state): _waiting(account, state) for account in accounts for state in State}
    for one in depth.accounts:
        waiting[one.account, one.state] = _waiting(
            one.account, one.state, one.messages, one.bytes, _age(one.oldest_at, now)
        )
    return Figures(waiting=tuple(waiting.values()), oldest_queued_seconds=_age(depth.oldest_queued_at, now) or 0.0)


def _waiting(
    account: str, state: State, messages: int = 0, size: int = 0, oldest_seconds: float | None = None
) -> Waiting:
    return Waiting(account=account, state=state.value, messages=messages, bytes=size, oldest_seconds=oldest_seconds)


def _age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else max(0.0, (now - at).total_seconds())
