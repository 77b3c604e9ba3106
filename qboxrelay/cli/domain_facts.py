"""What a command knows of sender domains: the configuration, and what the relay keeps in its spool.

In: settings. Out: `KnownDomains`. Never: a request to the Management API that the command did not ask for; a spool that is made by looking.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from qboxrelay.model.address import Address
    from qboxrelay.model.sender_domain import DeliveryDomain, Listing, SenderFacts
    from qboxrelay.policy.sender_domain import DomainVerdict
    from qboxrelay.settings.schema import Settings
    from qboxrelay.spool.backend import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDomains:
    """`asks_api`: whether the Management API is the source. `why_not` says why there is no listing where there should be one."""

    settings: "Settings"
    asks_api: bool
    listing: "Listing | None" = None
    why_not: str = ""

    @classmethod
    async def read(cls, settings: "Settings", *, asks_api: bool) -> Self:
        """What the relay keeps."""
        from qboxrelay.domains.keeping import NAME, from_bytes
        from qboxrelay.spool.port import SpoolError

        if not asks_api:
            return cls(settings=settings, asks_api=False)
        try:
            kept = await store(settings).recall(NAME)
        except SpoolError as error:
            return cls(settings=settings, asks_api=True, why_not=str(error))
        listing = from_bytes(kept.value) if kept is not None else None
        why_not = "" if listing else "the Management API was never asked, or not by this version"
        return cls(settings=settings, asks_api=True, listing=listing, why_not=why_not)

    @property
    def checks(self) -> bool:
        """Whether the relay judges sender domains at all."""
        chosen = self.settings.sender_domains
        return chosen.source != "none" and (self.asks_api or bool(chosen.domains))

    def with_listing(self, listing: "Listing") -> "KnownDomains":
        return replace(self, listing=listing, why_not="")

    def names(self) -> list[str]:
        """Every known domain."""
        from qboxrelay.model.address import domain_key

        configured = map(domain_key, self.settings.sender_domains.domains)
        return sorted({*configured, *(self.listing.domains if self.listing else ())})

    def domain(self, name: str) -> "DeliveryDomain | None":
        return self.listing.domains.get(name) if self.listing else None

    def account_of(self, domain: str) -> str | None:
        """The name of the account that sends for a domain, where no sender rule, user or listener names another; None: no account does."""
        from qboxrelay.model.address import Address
        from qboxrelay.model.reply import Refusal
        from qboxrelay.policy.accounts import AccountRules

        try:
            return AccountRules(self.settings.accounts).choose(None, Address("", domain)).name
        except Refusal:
            return None

    @property
    def too_old(self) -> bool:
        """Whether the listing is so old that the door does not look at it any more."""
        return (
            self.listing is not None
            and datetime.now(UTC) - self.listing.fetched_at > self.settings.sender_domains.facts_max_age
        )

    def standing(self, domain: str, account: str | None) -> "SenderFacts":
        """As the door sees it; `account` by its name in the configuration, None for any."""
        from qboxrelay.domains.standing import Standing

        ids = {account.name: account.delivery_account for account in self.settings.accounts}
        standing = Standing(self.settings.sender_domains, asks_api=self.asks_api)
        return standing.of(domain, ids.get(account or "", ""), self.listing, datetime.now(UTC))

    async def judge(self, domain: str, account: str | None) -> "DomainVerdict":
        """What the door would say, DNS included where it is set to look at it."""
        from qboxrelay.policy.sender_domain import SenderDomainRules

        facts = self.standing(domain, account)
        chosen = self.settings.sender_domains
        if chosen.dns != "off" and facts.delivery_domain and chosen.lets_in(facts.state):
            facts = await self._with_report(facts)
        return SenderDomainRules(chosen).judge(facts)

    @classmethod
    def read_now(cls, settings: "Settings", *, asks_api: bool) -> Self:
        """`read`, for a command that does nothing else at a time."""
        return asyncio.run(cls.read(settings, asks_api=asks_api))

    def require_now(self, sender: "Address | None", from_domain: str, account: str) -> dict[str, str]:
        """What the door would make of the domains of a mail: `state`, and `text` for people. Raises `Refusal` where it would refuse it."""
        from qboxrelay.model.reply import Refusal

        if not self.checks:
            return {"state": "not_checked", "text": "no sender domains are checked"}
        domains: list[tuple[str, str | None]] = [(from_domain, account)]
        if self.settings.sender_domains.check_mail_from and sender is not None:
            domains.insert(0, (sender.domain, None))
        verdicts = [asyncio.run(self.judge(domain, by)) for domain, by in domains]
        for verdict in verdicts:
            if verdict.reply is not None:
                raise Refusal(verdict.reply, rule=f"sender_domain_{verdict.state}")
        last = verdicts[-1]
        text = {"accept": f"{from_domain} may send ({last.state})", "warn": f"with a warning: {last.text}"}[last.mode]
        unknown = f", because no facts are known here: {self.why_not}" if self.why_not else ""
        return {"state": last.state, "text": text + unknown}

    async def _with_report(self, facts: "SenderFacts") -> "SenderFacts":
        from prometheus_client import CollectorRegistry

        from qboxrelay.domains.check import Checker, expected_of
        from qboxrelay.domains.reports import Reports
        from qboxrelay.domains.resolver import Resolver
        from qboxrelay.model.clock import SystemClock
        from qboxrelay.telemetry.metrics_domains import DomainMetrics

        chosen, clock, metrics = self.settings.sender_domains, SystemClock(), DomainMetrics(CollectorRegistry())
        resolver = Resolver(settings=chosen, metrics=metrics, monotonic=clock.monotonic)
        checker = Checker(resolver=resolver, clock=clock, metrics=metrics)
        reports = Reports(checker=checker, deadline=chosen.dns_deadline, monotonic=clock.monotonic)
        try:
            expected = expected_of(facts.domain, self.domain(facts.delivery_domain), chosen)
            return replace(facts, report=await reports.get(expected))
        finally:
            await reports.close()
            await resolver.close()


def store(settings: "Settings") -> "Facts":
    """The spool, beside a relay that may be using it."""
    from qboxrelay.spool.backend import open_facts

    return open_facts(settings)
