"""What a running relay does for its spool beside sending: forgets what is old, and takes up what operators did.

In: the spool. Out: a line in the log for each act of an operator. Never: an end of it because the spool is in trouble.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.spool.port import Handled, Spool, SpoolError

log = structlog.get_logger()

_PRUNE_EVERY = timedelta(minutes=10)
_PRUNE_PAUSE = timedelta(milliseconds=50)


class Upkeep:
    """Both run until they are cancelled."""

    def __init__(self, *, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock

    async def prune(self) -> None:
        """Forget, step by step, what the settings no longer keep."""
        while True:
            try:
                while await self._spool.prune():
                    await self._clock.sleep(_PRUNE_PAUSE)
            except SpoolError as error:
                log.warning("prune.failed", error=str(error))
            await self._clock.sleep(_PRUNE_EVERY)

    async def follow(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Take up what operators do beside this process, and say who did it; `refresh` then brings up to date what depends on it."""
        while True:
            try:
                # Once more after something came: only then it is noted that it was told of, and a restart does not tell of it again.
                while acts := await self._spool.follow():
                    _tell(acts)
                await refresh()
            except SpoolError as error:
                log.error("operator.unseen", error=str(error))  # noqa: TRY400 - the spool's own words say it all
            await self._spool.changed()


def _tell(acts: Iterable[Handled]) -> None:
    for one in acts:
        log.info("operator.acted", what=one.what, id=one.id, account=one.account or "all", by=one.by, before=one.before)
