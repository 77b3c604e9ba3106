"""What mail must pass that needs facts from outside: sender domains and the suppression list, for one configuration.

In: settings, a Management token. Out: `Gates`, which the intake asks. Never: a metric registered twice: a reload makes new gates, not new series.
"""

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from qboxrelay.domains.followed import Followed
from qboxrelay.domains.port import Store
from qboxrelay.intake.sender_domain import SenderDomainGate
from qboxrelay.intake.suppressed import Lookup, SuppressionGate
from qboxrelay.model.clock import Clock
from qboxrelay.model.sender_domain import Listing
from qboxrelay.qboxmail.management import ManagementClient
from qboxrelay.qboxmail.suppressions import SuppressionClient
from qboxrelay.qboxmail.token import TokenSource
from qboxrelay.settings.schema import Settings
from qboxrelay.telemetry.metrics import SuppressionMetrics
from qboxrelay.telemetry.metrics_domains import DomainCollector, DomainMetrics

if TYPE_CHECKING:
    from qboxrelay.domains.sender_domains import SenderDomains

log = structlog.get_logger()


def _unheard(_listing: Listing) -> None:
    """Nobody else needs it."""


def gates_differ(before: Settings, after: Settings) -> bool:
    """Whether other gates have to be made."""
    return _asked(before) != _asked(after)


def _asked(settings: Settings) -> object:
    accounts = {account.name: account.delivery_account for account in settings.accounts}
    return settings.sender_domains, settings.recipients, accounts


class Gates:
    """`start`, then `run` for as long as they are used, then `close`. A gate is None where its question is not asked."""

    def __init__(
        self,
        *,
        domains: "SenderDomains | None" = None,
        sender_domains: SenderDomainGate | None = None,
        suppressions: SuppressionGate | None = None,
        lookup: SuppressionClient | None = None,
        clients: tuple[ManagementClient | SuppressionClient, ...] = (),
        followed: Followed | None = None,
    ) -> None:
        """`lookup` asks the suppression list; `followed` has the listing that another process keeps fresh."""
        self.domains = domains
        self.sender_domains = sender_domains
        self.suppressions = suppressions
        self.lookup = lookup
        self.followed = followed
        self._clients = clients

    async def start(self) -> None:
        if self.domains is not None:
            await self.domains.start()

    async def run(self) -> None:
        if self.domains is not None:
            # What came while these gates were made was told to those before them.
            await self.domains.look()
            await self.domains.run()

    async def look(self) -> None:
        """Take up what another process has left in the spool."""
        if self.domains is not None:
            await self.domains.look()

    def status(self) -> dict[str, object]:
        """For /readyz."""
        return self.domains.status() if self.domains is not None else {"source": "none"}

    def states(self) -> tuple[Mapping[str, str], float | None]:
        """For the metrics."""
        return self.domains.states() if self.domains is not None else ({}, None)

    async def close(self) -> None:
        if self.domains is not None:
            await self.domains.close()
        for client in self._clients:
            await client.close()


class GateMaker:
    """Makes the gates of a configuration, and those of the next one."""

    def __init__(self, *, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._domain_metrics = DomainMetrics(registry)
        self._suppression_metrics: SuppressionMetrics | None = None
        self._registry = registry
        self._latest: Gates | None = None
        self.listed: Callable[[Listing], None] = _unheard
        """Hears of each listing of the Management API that is new."""

    def make(self, settings: Settings, token: TokenSource | None, store: Store) -> Gates:
        """Raises OSError for a TLS file that cannot be used."""
        suppressing = settings.recipients.refuse_suppressed and token is not None
        management = self._management(settings, token)
        domains = self._domains(settings, management, store)
        lookup = self._lookup(settings, token) if suppressing else None
        return Gates(
            domains=domains,
            sender_domains=self._gate(settings, domains),
            suppressions=self._suppressions(settings, lookup) if lookup is not None else None,
            lookup=lookup,
            clients=tuple(client for client in (management, lookup) if client is not None),
        )

    def make_following(
        self, settings: Settings, *, asks: bool, listing: Listing | None, lookup: Lookup, store: Store
    ) -> Gates:
        """For a process beside the one that asks the Management API, if that does: with its listing, and its answers."""
        followed = Followed(listing) if asks and settings.sender_domains.source != "none" else None
        domains = self._domains(settings, None, store, followed)
        suppressing = asks and settings.recipients.refuse_suppressed
        return Gates(
            domains=domains,
            sender_domains=self._gate(settings, domains),
            suppressions=self._suppressions(settings, lookup) if suppressing else None,
            followed=followed,
        )

    def use(self, gates: Gates) -> None:
        """From now on the metrics show these."""
        if self._latest is None and gates.domains is not None:
            self._registry.register(DomainCollector(lambda: self._latest.states() if self._latest else ({}, None)))
        if gates.domains is not None or self._latest is not None:
            self._latest = gates
        if gates.domains is None:
            log.info("sender_domains.not_checked", text="set token_file or domains in [sender_domains] to check them")

    def _management(self, settings: Settings, token: TokenSource | None) -> ManagementClient | None:
        chosen = settings.sender_domains
        if chosen.source == "none" or token is None:
            return None
        return ManagementClient(settings=chosen, token=token, clock=self._clock)

    def _gate(self, settings: Settings, domains: "SenderDomains | None") -> SenderDomainGate | None:
        if domains is None:
            return None
        return SenderDomainGate(facts=domains, settings=settings.sender_domains, metrics=self._domain_metrics)

    def _domains(
        self, settings: Settings, management: ManagementClient | None, store: Store, followed: Followed | None = None
    ) -> "SenderDomains | None":
        """None where every domain may send, because nobody said which ones may."""
        chosen = settings.sender_domains
        if chosen.source == "none" or (management is None and followed is None and not chosen.domains):
            return None
        # Its DNS library takes 2 MB, and most relays have no use for it.
        from qboxrelay.domains.sender_domains import SenderDomains  # noqa: PLC0415 - see above

        def listed(listing: Listing) -> None:
            # Gates that are only prepared, for a reload that may fail, have nothing to say yet.
            if self._latest is None or self._latest.domains is made:
                self.listed(listing)

        made = SenderDomains(
            settings=chosen,
            accounts={account.name: account.delivery_account for account in settings.accounts},
            management=management,
            store=store,
            clock=self._clock,
            rng=random.Random(),
            metrics=self._domain_metrics,
            followed=followed,
            listed=listed,
        )
        return made

    def _lookup(self, settings: Settings, token: TokenSource | None) -> SuppressionClient | None:
        if token is None:
            return None
        deadline = settings.recipients.suppressed_wait
        return SuppressionClient(settings=settings.sender_domains, token=token, deadline=deadline)

    def _suppressions(self, settings: Settings, lookup: Lookup) -> SuppressionGate:
        if self._suppression_metrics is None:
            self._suppression_metrics = SuppressionMetrics(self._registry)
        keep = settings.recipients.suppressed_keep
        return SuppressionGate(lookup=lookup, keep=keep, clock=self._clock, metrics=self._suppression_metrics)
