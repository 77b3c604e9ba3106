"""Reports for mail that waits: never longer than the deadline, never twice at a time, kept for their TTL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from prometheus_client import CollectorRegistry

from qboxrelay.domains.reports import Reports
from qboxrelay.model.sender_domain import RecordVerdict
from tests.contract.domains.harness import expected, resolving, scenario
from tests.support.dns import Front

_LONG = timedelta(seconds=60)


class Ticks:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def reporting(
    port: int, *, deadline: timedelta = _LONG, registry: CollectorRegistry | None = None
) -> AsyncIterator[tuple[Reports, Ticks]]:
    """Reports whose time passes by hand; the resolver keeps nothing, so that every look asks."""
    ticks = Ticks()
    options = {"dns_timeout": "60s", "dns_min_ttl": "1ms", "dns_max_ttl": "1ms"}
    async with resolving(port, registry=registry, **options) as (_, checker):
        reports = Reports(checker=checker, deadline=deadline, monotonic=ticks)
        try:
            yield reports, ticks
        finally:
            await reports.close()


def looks(registry: CollectorRegistry) -> float:
    """Looks at all records of a domain, whatever came of them."""
    name = "qboxrelay_sender_domain_dns_checks_total"
    return sum(registry.get_sample_value(name, {"verdict": verdict}) or 0 for verdict in RecordVerdict)


@scenario
async def test_the_deadline_holds_and_the_look_goes_on(dns_port: int) -> None:
    """A mail that cannot wait goes without a report; the next one finds it."""
    registry = CollectorRegistry()
    async with Front(dns_port) as front:
        front.slow["right.example"] = 0.5
        async with reporting(front.port, deadline=timedelta(milliseconds=50), registry=registry) as (reports, _):
            assert await reports.get(expected("right.example")) is None
            async with asyncio.timeout(60):
                while (report := await reports.get(expected("right.example"))) is None:
                    pass
            assert report.verdict is RecordVerdict.OK
    assert looks(registry) == 1


@scenario
async def test_a_thousand_mails_of_ten_domains_cost_ten_looks(dns_port: int) -> None:
    """However they come: at once, while the first look is under way, and after it, within the TTL."""
    registry = CollectorRegistry()
    async with Front(dns_port) as front, reporting(front.port, registry=registry) as (reports, _):
        front.slow["right.example"] = 0.2
        domains = [f"sub{number}.right.example" for number in range(10)]
        asked = [expected(domain, delivery_domain="right.example") for domain in domains]
        found = await asyncio.gather(*(reports.get(asked[number % 10]) for number in range(1000)))
        found += [await reports.get(asked[number % 10]) for number in range(1000)]
    assert {report.domain for report in found if report is not None} == set(domains)
    assert None not in found
    assert looks(registry) == 10
    # One for each domain, and one for the `mx` that SPF names.
    labels = {"type": "MX", "result": "found"}
    absent = {"type": "MX", "result": "absent"}
    name = "qboxrelay_sender_domain_dns_lookups_total"
    assert (registry.get_sample_value(name, labels) or 0) + (registry.get_sample_value(name, absent) or 0) == 10 + 1


@scenario
async def test_a_good_report_is_given_while_a_new_one_is_made(dns_port: int) -> None:
    """Nobody waits for a domain that was right a moment ago; a fault that appears is seen with the next mail but one."""
    async with Front(dns_port) as front, reporting(front.port) as (reports, ticks):
        first = await reports.get(expected("right.example"))
        assert first is not None
        ticks.now += 3600
        front.slow["right.example"] = 0.3
        again = await reports.get(expected("right.example"))
        assert again is first
        async with asyncio.timeout(60):
            while await reports.get(expected("right.example")) is first:
                await front.answered()


@scenario
async def test_a_bad_report_is_made_anew_before_it_is_given(dns_port: int) -> None:
    """Whoever has mended the records is not refused for what was."""
    async with Front(dns_port) as front, reporting(front.port) as (reports, ticks):
        first = await reports.get(expected("missing.example"))
        assert first is not None
        assert first.verdict is RecordVerdict.MISSING
        assert await reports.get(expected("missing.example")) is first
        ticks.now += 3600
        again = await reports.get(expected("missing.example"))
        assert again is not None
        assert again is not first


@scenario
async def test_made_up_subdomains_are_no_storm(dns_port: int) -> None:
    """Above a number of looks at a time the next domains go without a report, at once."""
    async with Front(dns_port) as front, reporting(front.port) as (reports, _):
        front.silent.add("right.example")
        waiting = [
            asyncio.create_task(
                reports.get(expected(f"made-up-{number}.right.example", delivery_domain="right.example"))
            )
            for number in range(200)
        ]
        await asyncio.sleep(0)
        assert await reports.get(expected("one-more.right.example", delivery_domain="right.example")) is None
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@scenario
async def test_while_dns_is_dead_only_the_first_mail_waits(dns_port: int) -> None:
    """The deadline counts from the first question: a thousand mails do not wait a thousand deadlines."""
    async with Front(dns_port) as front, reporting(front.port, deadline=timedelta(seconds=2)) as (reports, _):
        front.silent.add("right.example")
        async with asyncio.timeout(60):
            for _ in range(1000):
                assert await reports.get(expected("right.example")) is None
