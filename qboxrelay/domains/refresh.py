"""Keeping the listing fresh: asked on a schedule, kept in the store, taken over when another process has left a newer one there.

In: the Management API, a store. Out: the latest `Listing`. Never: a listing given up because a newer one could not be had; a log line for
each try: one a change.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

import structlog

from qboxrelay.domains.keeping import NAME, from_bytes, to_bytes
from qboxrelay.domains.port import Management, Store
from qboxrelay.model.clock import Clock
from qboxrelay.model.sender_domain import Listing, ManagementFailure
from qboxrelay.telemetry.metrics_domains import DomainMetrics

log = structlog.get_logger()

_FIRST_RETRY = timedelta(seconds=15)
_FIRST_WAIT = timedelta(seconds=5)
_JITTER = 0.1


class Refresher:
    """Has the latest listing. `restore` first, then `run` for as long as the relay lives."""

    def __init__(
        self,
        *,
        management: Management,
        store: Store,
        every: timedelta,
        longest: timedelta,
        clock: Clock,
        rng: random.Random,
        metrics: DomainMetrics,
        listed: Callable[[Listing], None] = lambda _listing: None,
    ) -> None:
        """`listed` hears of each new listing. Asks `every` so often, and gives a listing, over all its pages, up after `longest`."""
        self._management = management
        self._longest = longest
        self._store = store
        self._every = every
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._listed = listed
        self._version = 0
        self._failures = 0
        self.listing: Listing | None = None
        self.failure: ManagementFailure | None = None
        """Why the last try failed; None after one that did not."""

    async def restore(self, max_age: timedelta) -> None:
        """Take over what is kept. Where that is nothing, or too old, ask, but not for long: the API may be down when the relay starts."""
        await self.look()
        if self.listing is None or self._clock.now() - self.listing.fetched_at > max_age:
            try:
                async with asyncio.timeout(_FIRST_WAIT.total_seconds()):
                    await self.refresh()
            except TimeoutError:
                seconds = _FIRST_WAIT.total_seconds()
                self._failed(
                    ManagementFailure(
                        "timeout", f"no answer from the Management API within {seconds:g} seconds at the start"
                    )
                )

    async def run(self) -> None:
        """Ask on schedule, until it is cancelled."""
        while True:
            await self._clock.sleep(self._wait())
            await self.refresh()

    async def refresh(self) -> None:
        """Ask the Management API now. What comes of it is in `listing` and `failure`."""
        try:
            async with asyncio.timeout(self._longest.total_seconds()):
                listing = await self._management.listing()
        except TimeoutError:
            self._failed(ManagementFailure("timeout", "the Management API does not come to the end of its pages"))
            return
        except ManagementFailure as failure:
            self._failed(failure)
            return
        except Exception as error:
            log.exception("sender_domains.refresh_crashed")
            self._failed(ManagementFailure("crashed", type(error).__name__))
            return
        self._metrics.refreshed("ok")
        if self._is_newer(listing):
            self._succeeded(listing)
            await self._keep(listing)

    def _wait(self) -> timedelta:
        """Until the next try: sooner after a failure, and not at the same moment as every other relay."""
        if self.failure is None and self.listing is not None:
            age = max(timedelta(), self._clock.now() - self.listing.fetched_at)
            wait = max(timedelta(seconds=1), self._every - age)
        else:
            wait = min(self._every, _FIRST_RETRY * 2 ** min(max(0, self._failures - 1), 10))
        return wait * self._rng.uniform(1 - _JITTER, 1 + _JITTER)

    async def look(self) -> None:
        """Take over what another process, such as `qboxrelay domains refresh`, has left in the store since the last look."""
        try:
            kept = await self._store.recall(NAME, after=self._version)
        except Exception as error:  # noqa: BLE001 - a store in trouble is the spool's to report; the listing at hand still counts
            log.debug("sender_domains.not_recalled", error=str(error))
            return
        if kept is None:
            return
        self._version = kept.version
        listing = await asyncio.to_thread(from_bytes, kept.value)
        if listing is not None and self._is_newer(listing):
            self._succeeded(listing)

    def _is_newer(self, listing: Listing) -> bool:
        """Than what is at hand: another process may have asked later than a try that took long. A listing of the future is older than any:
        the clock was set back since.
        """
        known = self.listing
        return known is None or listing.fetched_at > known.fetched_at or known.fetched_at > self._clock.now()

    async def _keep(self, listing: Listing) -> None:
        try:
            await self._store.remember(NAME, await asyncio.to_thread(to_bytes, listing))
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("sender_domains.not_kept", error=str(error))

    def _failed(self, failure: ManagementFailure) -> None:
        before, self.failure = self.failure, failure
        self._failures += 1
        self._metrics.refreshed(failure.reason)
        if before is None or before.reason != failure.reason:
            log.warning("sender_domains.refresh_failed", reason=failure.reason, text=str(failure))

    def _succeeded(self, listing: Listing) -> None:
        before, self.listing = self.listing, listing
        recovered, self.failure = self.failure, None
        self._failures = 0
        if recovered is not None:
            log.info("sender_domains.refresh_recovered", domains=len(listing.domains))
        _tell_changes(before, listing)
        self._listed(listing)


def _tell_changes(before: Listing | None, after: Listing) -> None:
    """A line for each domain that is another than before."""
    if before is None:
        log.info("sender_domains.known", domains=len(after.domains), fetched_at=after.fetched_at.isoformat())
        return
    for name in sorted(before.domains.keys() | after.domains.keys()):
        old, new = before.domains.get(name), after.domains.get(name)
        was = (old.state, sorted(old.accounts)) if old else None
        now = (new.state, sorted(new.accounts)) if new else None
        if was != now:
            log.info(
                "sender_domain.changed",
                domain=name,
                before=old.state if old else None,
                after=new.state if new else None,
                accounts=sorted(new.accounts) if new else None,
            )
