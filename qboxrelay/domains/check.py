"""All DNS records of one sender domain, looked at together.

In: the domain of From, the Delivery domain that it falls under, what is to be published. Out: `DomainReport`. Never: an end later than the
resolver's; a record that nobody asked for as a requirement.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from qboxrelay.domains.asking import Asking
from qboxrelay.domains.dkim import check_cname, check_dkim
from qboxrelay.domains.dmarc import check_dmarc
from qboxrelay.domains.mx import check_mx
from qboxrelay.domains.resolver import Resolver
from qboxrelay.domains.spf import check_spf
from qboxrelay.model.clock import Clock
from qboxrelay.model.sender_domain import DeliveryDomain, DomainReport, RecordCheck
from qboxrelay.settings.schema import SenderDomainSettings
from qboxrelay.telemetry.metrics_domains import DomainMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is to be found. `domain` is that of From, `delivery_domain` itself or its parent; the rest as in `DeliveryDomain`."""

    domain: str
    delivery_domain: str
    records: tuple[tuple[str, str], ...] = ()
    dkim_selectors: tuple[str, ...] = ()
    spf: str = ""
    dmarc: str = ""


def expected_of(domain: str, known: DeliveryDomain | None, settings: SenderDomainSettings) -> Expected:
    """What the Management API asks for; what it does not say, the configuration may."""
    configured = f"v=spf1 include:{settings.spf_include.rstrip('.').lower()} ~all" if settings.spf_include else ""
    return Expected(
        domain=domain,
        delivery_domain=known.name if known else domain,
        records=known.records if known else (),
        dkim_selectors=(known.dkim_selectors if known else ()) or settings.dkim_selectors,
        spf=(known.spf if known else "") or configured,
        dmarc=known.dmarc if known else "",
    )


class Checker:
    """Looks at domains."""

    def __init__(self, *, resolver: Resolver, clock: Clock, metrics: DomainMetrics) -> None:
        self._resolver = resolver
        self._clock = clock
        self._metrics = metrics

    async def check(self, expected: Expected) -> DomainReport:
        asking = Asking(self._resolver)
        checks = tuple(await asyncio.gather(*_checks(asking, expected)))
        report = DomainReport(
            domain=expected.domain, checked_at=self._clock.now(), ttl=asking.ttl or timedelta(), checks=checks
        )
        self._metrics.checked(report.verdict)
        for check in checks:
            self._metrics.record(check.kind, check.verdict)
        return report


def _checks(asking: Asking, expected: Expected) -> Iterator[Coroutine[Any, Any, RecordCheck]]:
    signing = expected.delivery_domain
    yield from (check_cname(asking, name, target) for name, target in expected.records)
    yield from (check_dkim(asking, signing, selector) for selector in expected.dkim_selectors)
    yield check_spf(asking, signing, expected.spf)
    yield check_dmarc(asking, expected.domain, signing, expected.dmarc)
    yield check_mx(asking, expected.domain)
