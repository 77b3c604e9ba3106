"""Resolvers and checkers as the relay has them, asking a server of the test's own.

In: ports, settings. Out: parts that are closed at the end. Never: a resolver of this machine.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

from prometheus_client import CollectorRegistry

from qboxrelay.domains.check import Checker, Expected
from qboxrelay.domains.resolver import Resolver
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.sender_domain import RecordCheck
from qboxrelay.settings.schema import SenderDomainSettings
from qboxrelay.telemetry.metrics_domains import DomainMetrics
from tests.support.dns import HOST

P = ParamSpec("P")
PROVIDER = "provider.example"
SPF = f"v=spf1 include:spf.{PROVIDER} ~all"
DMARC = "v=DMARC1; p=none"


def scenario(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def settings(*ports: int, **values: Any) -> SenderDomainSettings:
    return SenderDomainSettings.model_validate({"resolvers": [f"{HOST}:{port}" for port in ports], **values})


@asynccontextmanager
async def resolving(
    *ports: int, registry: CollectorRegistry | None = None, **values: Any
) -> AsyncIterator[tuple[Resolver, Checker]]:
    """A resolver that asks these ports in their order, and a checker on it."""
    metrics, clock = DomainMetrics(registry or CollectorRegistry()), SystemClock()
    resolver = Resolver(settings=settings(*ports, **values), metrics=metrics, monotonic=clock.monotonic)
    try:
        yield resolver, Checker(resolver=resolver, clock=clock, metrics=metrics)
    finally:
        await resolver.close()


def expected(domain: str, *, delivery_domain: str = "", **values: Any) -> Expected:
    """What the Management API would ask of a domain."""
    signing = delivery_domain or domain
    asked: dict[str, Any] = {
        "records": tuple((f"{name}._domainkey.{signing}", f"{name}._domainkey.{PROVIDER}") for name in ("tr", "nl")),
        "dkim_selectors": ("tr", "nl"),
        "spf": SPF,
        "dmarc": DMARC,
    }
    return Expected(domain=domain, delivery_domain=signing, **{**asked, **values})


async def checks_of(port: int, asked: Expected, **values: Any) -> dict[str, RecordCheck]:
    """By kind, and where there are several of one, by their names' first label."""
    async with resolving(port, **values) as (_, checker):
        report = await checker.check(asked)
    return {
        check.kind if check.kind in {"spf", "dmarc", "mx"} else f"{check.kind} {check.name.partition('.')[0]}": check
        for check in report.checks
    }
