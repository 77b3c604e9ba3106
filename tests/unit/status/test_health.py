"""Readiness: probes, what is remembered, what is told."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from structlog.testing import capture_logs

from qboxrelay.status.health import Health


class Clock:
    seconds = 100.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, delay: timedelta) -> None:
        self.seconds += delay.total_seconds()


def scenario(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


@scenario
async def test_a_change_is_told_once_and_heard_each_time() -> None:
    """Not each look; what is wrong and that it is over."""
    clock, answers, heard = Clock(), [None, "full", "full", None], list[bool]()

    async def probe() -> str | None:
        return answers.pop(0)

    health = Health(probes={"spool": probe}, detail=dict, clock=clock, found=heard.append)
    with capture_logs() as logs:
        for _ in range(4):
            await health.readiness()
            await health.readiness()
            clock.seconds += 2

    assert heard == [True, False, False, True]
    assert [line["event"] for line in logs] == ["relay.not_ready", "relay.ready_again"]
    assert logs[0]["reasons"] == {"spool": "full"}


@scenario
async def test_a_probe_that_breaks_is_a_reason() -> None:
    """Never an answer 500, and nothing of the error's text, which may be anything."""

    async def broken() -> str | None:
        raise ValueError("secret")

    readiness = await Health(probes={"spool": broken}, detail=dict, clock=Clock()).readiness()

    assert readiness.reasons == {"spool": "the check itself failed: ValueError"}


@scenario
async def test_too_early_and_too_late_ask_no_probe() -> None:
    """A start and a stop are no errors; the metric says it all the same."""
    heard: list[bool] = []

    async def never() -> str | None:
        raise AssertionError

    health = Health(
        probes={"spool": never}, detail=dict, clock=Clock(), stage=lambda: "the relay is stopping", found=heard.append
    )
    with capture_logs() as logs:
        readiness = await health.readiness()

    assert readiness.reasons == {"relay": "the relay is stopping"}
    assert (heard, logs) == ([False], [])
