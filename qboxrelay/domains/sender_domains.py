"""What is known of sender domains, for whoever takes mail: the one door to this part.

In: a domain and the account that would send. Out: `SenderFacts`. Never: a wait for the Management API; a wait for DNS beyond its deadline;
a lookup for a domain that may not send anyway.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from qboxrelay.domains.check import Checker, expected_of
from qboxrelay.domains.followed import Followed
from qboxrelay.domains.port import Management, Store
from qboxrelay.domains.refresh import Refresher
from qboxrelay.domains.reports import Reports
from qboxrelay.domains.resolver import Resolver
from qboxrelay.domains.standing import Standing
from qboxrelay.model.clock import Clock
from qboxrelay.model.sender_domain import DeliveryDomain, DomainReport, DomainState, Listing, SenderFacts
from qboxrelay.settings.schema import SenderDomainSettings
from qboxrelay.telemetry.metrics_domains import DomainMetrics

_DEADLINES = 10
"""A listing of many pages may take so many times the wait for one."""
_MOST_SHOWN = 1000
"""Domains in the metrics; somebody with more would not want a series for each."""


class SenderDomains:
    """`start`, then `run` for as long as the relay lives; `close` ends lookups under way. `management` is None where only configured
    domains are known.
    """

    def __init__(
        self,
        *,
        settings: SenderDomainSettings,
        accounts: Mapping[str, str],
        management: Management | None,
        store: Store,
        clock: Clock,
        rng: random.Random,
        metrics: DomainMetrics,
        followed: Followed | None = None,
        listed: Callable[[Listing], None] = lambda _listing: None,
    ) -> None:
        """`accounts`: the id or username at Qboxmail, or "", by the name of the account in the configuration. `followed` is what another
        process keeps fresh, instead of `management`; `listed` hears of each new listing.
        """
        self._settings = settings
        self._accounts = accounts
        self._clock = clock
        self._standing = Standing(settings, asks_api=management is not None or followed is not None)
        self._resolver = Resolver(settings=settings, metrics=metrics, monotonic=clock.monotonic)
        self._reports = Reports(
            checker=Checker(resolver=self._resolver, clock=clock, metrics=metrics),
            deadline=settings.dns_deadline,
            monotonic=clock.monotonic,
        )
        self._refresher = (
            Refresher(
                management=management,
                store=store,
                every=settings.refresh,
                longest=settings.api_deadline * _DEADLINES,
                clock=clock,
                rng=rng,
                metrics=metrics,
                listed=listed,
            )
            if management is not None
            else None
        )
        self._listings: Refresher | Followed | None = self._refresher or followed

    async def start(self) -> None:
        if self._listings is not None:
            await self._listings.restore(self._settings.facts_max_age)

    async def run(self) -> None:
        if self._listings is not None:
            await self._listings.run()

    async def look(self) -> None:
        """Something was written to the store: it may be a newer listing."""
        if self._refresher is not None:
            await self._refresher.look()

    async def close(self) -> None:
        await self._reports.close()
        await self._resolver.close()

    async def gather(self, domain: str, account: str | None) -> SenderFacts:
        """What is known now; `account` by its name in the configuration, None for any."""
        facts = self._standing.of(domain, self._accounts.get(account or "", ""), self.listing, self._clock.now())
        if self._settings.dns == "off" or not facts.delivery_domain or not self._settings.lets_in(facts.state):
            return facts
        known = self.listing.domains.get(facts.delivery_domain) if self.listing else None
        expected = expected_of(facts.domain, known, self._settings)
        return replace(facts, report=await self._reports.get(expected))

    def states(self) -> tuple[dict[str, str], float | None]:
        """For the metrics: where every known domain stands, and how many seconds ago that was said."""
        found: dict[str, str] = dict.fromkeys(sorted(self._standing.configured)[:_MOST_SHOWN], DomainState.ENABLED)
        listing = self.listing
        if listing is None:
            return found, None
        for name in sorted(listing.domains)[:_MOST_SHOWN]:
            found.setdefault(name, listing.state(listing.domains[name], ""))
        return found, self._age(listing).total_seconds()

    def status(self) -> dict[str, object]:
        """For people and /readyz."""
        listing, failure = self.listing, self._listings.failure if self._listings else None
        age = None if listing is None else self._age(listing)
        return {
            "source": "static" if self._listings is None else "management",
            "domains": len(self._standing.configured | (listing.domains.keys() if listing else set())),
            "age_seconds": None if age is None else round(age.total_seconds()),
            "too_old": self._listings is not None and (age is None or age > self._settings.facts_max_age),
            "failing": None if failure is None else {"reason": failure.reason, "text": str(failure)},
        }

    def names(self) -> list[str]:
        """Every known domain, in order."""
        return sorted(self._standing.configured | (self.listing.domains.keys() if self.listing else set()))

    def listed(self, name: str) -> DeliveryDomain | None:
        """What the Management API last said of it."""
        return self.listing.domains.get(name) if self.listing else None

    def accounts_of(self, name: str) -> list[str]:
        """The accounts at Qboxmail that it is assigned to, by username where there is one."""
        known = self.listed(name)
        if known is None or self.listing is None:
            return []
        mine = [account for account in self.listing.accounts if not account.keys.isdisjoint(known.accounts)]
        others = known.accounts.difference(*(account.keys for account in mine))
        return sorted({*(account.username or account.id for account in mine), *others})

    def standing(self, name: str) -> SenderFacts:
        """Where it stands for any account, without DNS."""
        return self._standing.of(name, "", self.listing, self._clock.now())

    async def report(self, name: str) -> DomainReport | None:
        """What DNS says, whether or not mail is judged by it; None when it has not answered within `dns_deadline`."""
        return await self._reports.get(expected_of(name, self.listed(name), self._settings))

    @property
    def listing(self) -> Listing | None:
        """What the Management API last said."""
        return self._listings.listing if self._listings is not None else None

    def _age(self, listing: Listing) -> timedelta:
        return max(timedelta(), self._clock.now() - listing.fetched_at)
