"""Where a sender domain stands, by what the Management API and the configuration say.

In: a listing, the configured domains, a domain, who would send. Out: `SenderFacts` without DNS. Never: I/O; a verdict, which is policy's.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from qboxrelay.model.address import domain_key, is_dns_name
from qboxrelay.model.sender_domain import DomainState, Listing, SenderFacts
from qboxrelay.settings.schema import SenderDomainSettings


class Standing:
    """The settings, made ready for looking up. `asks_api` is False where only configured domains are known."""

    def __init__(self, settings: SenderDomainSettings, *, asks_api: bool) -> None:
        self.configured = frozenset(map(domain_key, settings.domains))
        self._subdomains = settings.subdomains
        self._max_age = settings.facts_max_age
        self._asks_api = asks_api

    def of(self, domain: str, account: str, listing: Listing | None, now: datetime) -> SenderFacts:
        """`account` is an id or username at Qboxmail; empty: any account will do."""
        key = domain_key(domain)
        names = list(self._names(key))
        age = None if listing is None else max(timedelta(), now - listing.fetched_at)
        mine = next((name for name in names if name in self.configured), None)
        if mine is not None:
            return SenderFacts(domain=key, state=DomainState.ENABLED, delivery_domain=mine, age=age)
        if not self._asks_api:
            return SenderFacts(domain=key, state=DomainState.NOT_LISTED)
        if listing is None or age is None or age > self._max_age:
            return SenderFacts(domain=key, state=DomainState.NO_FACTS, age=age)
        known = next((listing.domains[name] for name in names if name in listing.domains), None)
        if known is None:
            return SenderFacts(domain=key, state=DomainState.NOT_LISTED, age=age)
        state = listing.state(known, account)
        return SenderFacts(domain=key, state=state, delivery_domain=known.name, age=age)

    def _names(self, domain: str) -> Iterator[str]:
        """The domain, then where subdomains count its parents, the nearest first."""
        yield domain
        counts = self._subdomains and is_dns_name(domain)
        while counts and domain.count(".") > 1:
            domain = domain.partition(".")[2]
            yield domain
