"""A refresh when everything around it fails: the store, the Management API's end, code that breaks."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.domains.keeping import NAME as KEPT
from qboxrelay.domains.keeping import from_bytes, to_bytes
from qboxrelay.domains.port import Management
from qboxrelay.domains.refresh import Refresher
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.sender_domain import DeliveryDomain, DomainState, Listing
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.telemetry.metrics_domains import DomainMetrics
from tests.contract.domains.harness import scenario

NAME = "example.com"


class Answering:
    """A Management API that lists one domain."""

    async def listing(self) -> Listing:
        domain = DeliveryDomain(name=NAME, state=DomainState.ENABLED)
        return Listing(fetched_at=datetime.now(UTC), domains={NAME: domain})


class Dated:
    """One whose listings are of given times, and which waits until the test lets it answer."""

    def __init__(self, *times: datetime) -> None:
        self._times = list(times)
        self.answers = asyncio.Event()

    async def listing(self) -> Listing:
        fetched_at = self._times.pop(0)
        await self.answers.wait()
        return Listing(fetched_at=fetched_at)


class Silent:
    """One that never comes to its end."""

    async def listing(self) -> Listing:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class Broken:
    """A client with a fault of its own."""

    async def listing(self) -> Listing:
        raise KeyError("a fault of ours")


@asynccontextmanager
async def refreshing(
    folder: Path, management: Management, *, longest: timedelta = timedelta(minutes=5)
) -> AsyncIterator[tuple[Refresher, SqliteSpool]]:
    clock = SystemClock()
    spool = await SqliteSpool.open(folder / "spool.db", settings=SpoolSettings(), clock=clock)
    refresher = Refresher(
        management=management,
        store=spool,
        every=timedelta(minutes=10),
        longest=longest,
        clock=clock,
        rng=random.Random(1),
        metrics=DomainMetrics(CollectorRegistry()),
    )
    try:
        yield refresher, spool
    finally:
        await spool.close()


@scenario
async def test_a_start_waits_only_a_little_for_a_silent_api(tmp_path: Path) -> None:
    """The doors open without facts."""
    async with refreshing(tmp_path, Silent()) as (refresher, _), asyncio.timeout(60):
        await refresher.restore(timedelta(hours=1))
        assert refresher.listing is None
        assert refresher.failure is not None
        assert refresher.failure.reason == "timeout"


@scenario
async def test_a_slow_try_does_not_undo_what_was_asked_later(tmp_path: Path) -> None:
    """`qboxrelay domains refresh` began after it and ended before it."""
    now = datetime.now(UTC)
    management = Dated(now - timedelta(minutes=2))
    async with refreshing(tmp_path, management) as (refresher, spool):
        slow = asyncio.create_task(refresher.refresh())
        await spool.remember(KEPT, to_bytes(Listing(fetched_at=now - timedelta(minutes=1))))
        await refresher.look()
        management.answers.set()
        await slow
        assert refresher.listing is not None
        assert refresher.listing.fetched_at == now - timedelta(minutes=1)
        kept = await spool.recall(KEPT)
        assert kept is not None
        assert from_bytes(kept.value) == refresher.listing


@scenario
async def test_a_clock_that_was_set_back_keeps_nothing_of_the_future(tmp_path: Path) -> None:
    """What another process leaves counts as ever, and so does the next answer."""
    now = datetime.now(UTC)
    management = Dated(now + timedelta(days=400), now)
    management.answers.set()
    async with refreshing(tmp_path, management) as (refresher, spool):
        await refresher.refresh()
        await spool.remember(KEPT, to_bytes(Listing(fetched_at=now - timedelta(minutes=1))))
        await refresher.look()
        assert refresher.listing is not None
        assert refresher.listing.fetched_at == now - timedelta(minutes=1)
        await refresher.refresh()
        assert refresher.listing.fetched_at == now


@scenario
async def test_pages_without_an_end_are_given_up(tmp_path: Path) -> None:
    async with refreshing(tmp_path, Silent(), longest=timedelta(milliseconds=50)) as (refresher, _):
        await refresher.refresh()
        assert refresher.failure is not None
        assert refresher.failure.reason == "timeout"


@scenario
async def test_a_fault_of_ours_is_a_failure_like_others(tmp_path: Path) -> None:
    """It is logged with its trace, and the schedule goes on."""
    with capture_logs() as logs:
        async with refreshing(tmp_path, Broken()) as (refresher, _):
            await refresher.refresh()
            assert refresher.failure is not None
            assert refresher.failure.reason == "crashed"
    assert "sender_domains.refresh_crashed" in [line["event"] for line in logs]


@scenario
async def test_a_store_in_trouble_costs_only_the_restart(tmp_path: Path) -> None:
    """What the API says counts, whether it can be kept or not."""
    with capture_logs() as logs:
        async with refreshing(tmp_path, Answering()) as (refresher, spool):
            await spool.close()
            await refresher.restore(timedelta(hours=1))
            assert refresher.listing is not None
            assert NAME in refresher.listing.domains
    assert "sender_domains.not_kept" in [line["event"] for line in logs]


@scenario
async def test_the_wait_is_spread_and_grows_with_failures(tmp_path: Path) -> None:
    """Ten percent around the schedule after success; sooner after a failure, later after many, never beyond the schedule."""
    async with refreshing(tmp_path, Answering()) as (refresher, _):
        await refresher.refresh()
        waits = [refresher._wait().total_seconds() for _ in range(200)]
        assert 530 < min(waits) < max(waits) < 661
        assert len(set(waits)) > 100
    async with refreshing(tmp_path, Broken()) as (refresher, _):
        longest = 0.0
        for _ in range(12):
            await refresher.refresh()
            wait = refresher._wait().total_seconds()
            assert 13 < wait < 661
            longest = max(longest, wait)
        assert longest > 530
