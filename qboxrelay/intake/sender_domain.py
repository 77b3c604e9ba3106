"""The sender domain at the door: gather what is known, judge it, count it.

In: a domain and the account that would send. Out: nothing, or `Refusal`. Never: a line in the log for each mail that is let in with a
warning: one when a domain's standing changes.
"""

from collections import OrderedDict
from typing import Protocol

import structlog

from qboxrelay.model.address import Address, domain_key
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.model.sender_domain import SenderFacts
from qboxrelay.policy.sender_domain import DomainVerdict, SenderDomainRules
from qboxrelay.settings.schema import SenderDomainSettings
from qboxrelay.telemetry.metrics_domains import DomainMetrics

log = structlog.get_logger()

_MAX_REMEMBERED = 10_000


class Facts(Protocol):
    """Who knows about domains: `domains.sender_domains.SenderDomains`."""

    async def gather(self, domain: str, account: str | None) -> SenderFacts: ...


class SenderDomainGate:
    """Lets a domain pass, or not."""

    def __init__(self, *, facts: Facts, settings: SenderDomainSettings, metrics: DomainMetrics) -> None:
        self._facts = facts
        self._rules = SenderDomainRules(settings)
        self.judges_mail_from = settings.check_mail_from
        self._metrics = metrics
        self._warned: OrderedDict[tuple[str, str | None], str] = OrderedDict()
        """By domain and account: one account may send for a domain that another may not."""

    async def judge(self, domain: str, account: str | None) -> DomainVerdict:
        return self._rules.judge(await self._facts.gather(domain, account))

    async def require(self, domain: str, account: str) -> str:
        """For the end of DATA: where the domain of From stands. Raises `Refusal`."""
        verdict = await self.judge(domain, account)
        self._count(domain, account, verdict)
        if verdict.reply is not None:
            raise Refusal(verdict.reply, rule=f"sender_domain_{verdict.state}")
        return verdict.state

    async def mail_from(self, sender: Address | None) -> Reply | None:
        """For the MAIL command: why this sender cannot be, or None. The null sender is judged by From alone."""
        if not self.judges_mail_from or sender is None:
            return None
        verdict = await self.judge(sender.domain, None)
        if verdict.reply is not None:
            self._count(sender.domain, None, verdict)
            log.warning("sender.refused", domain=domain_key(sender.domain), state=verdict.state)
        return verdict.reply

    def _count(self, domain: str, account: str | None, verdict: DomainVerdict) -> None:
        self._metrics.judged(verdict.state, verdict.mode)
        key = domain_key(domain), account
        if verdict.mode == "warn" and self._warned.get(key) != verdict.state:
            log.warning("sender_domain.warned", domain=key[0], account=account, state=verdict.state, text=verdict.text)
        self._warned.pop(key, None)
        if verdict.mode == "warn":
            self._warned[key] = verdict.state
        if len(self._warned) > _MAX_REMEMBERED:
            self._warned.popitem(last=False)
