"""Looking at the DNS of many domains, with progress for people who wait.

In: what is known, domain names. Out: reports in their order. Never: a progress bar in a file or a pipe.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qboxrelay.model.sender_domain import DomainReport, RecordVerdict

if TYPE_CHECKING:
    from qboxrelay.cli.domain_facts import KnownDomains

EXIT = {RecordVerdict.OK: 0, RecordVerdict.WRONG: 2, RecordVerdict.MISSING: 2, RecordVerdict.UNKNOWN: 3}

_AT_ONCE = 16


async def check_all(known: "KnownDomains", names: Sequence[str]) -> list[DomainReport]:
    """One report for each name."""
    from prometheus_client import CollectorRegistry
    from rich.console import Console
    from rich.progress import Progress

    from qboxrelay.domains.check import Checker, expected_of
    from qboxrelay.domains.resolver import Resolver
    from qboxrelay.model.clock import SystemClock
    from qboxrelay.telemetry.metrics_domains import DomainMetrics

    chosen, clock, metrics = known.settings.sender_domains, SystemClock(), DomainMetrics(CollectorRegistry())
    resolver = Resolver(settings=chosen, metrics=metrics, monotonic=clock.monotonic)
    checker = Checker(resolver=resolver, clock=clock, metrics=metrics)
    room = asyncio.Semaphore(_AT_ONCE)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Asking DNS", total=len(names))

        async def one(name: str) -> DomainReport:
            async with room:
                delivery = known.standing(name, None).delivery_domain
                report = await checker.check(expected_of(name, known.domain(delivery or name), chosen))
            progress.advance(task)
            return report

        try:
            return list(await asyncio.gather(*map(one, names)))
        finally:
            await resolver.close()
