"""File descriptors: how they are divided, and what is said when none is left."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from qboxrelay import descriptors

LIMIT = 1024


@pytest.fixture
def lower_limit() -> Iterator[int]:
    """A lower limit of this process that is not the upper one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] <= LIMIT:
        pytest.skip("needs an upper limit above 1024 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, before[1]))
    yield LIMIT
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("lower_limit")
def test_the_lower_limit_is_raised_to_the_upper_one() -> None:
    """What the administrator allows is used without being asked for."""
    descriptors.raise_limit()

    lower, upper = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert lower == upper > LIMIT


def test_enough_for_everybody(lower_limit: int) -> None:
    """Where all that is wanted is possible, nothing is changed and nothing is said."""
    with capture_logs() as logs:
        assert descriptors.shared_out([100, 50], others=8) == [100, 50]

    assert lower_limit == LIMIT
    assert logs == []


def test_too_few_are_divided(lower_limit: int) -> None:
    """Each listener gets its part, so that one more client is told 421 instead of being dropped, and it is said once."""
    with capture_logs() as logs:
        shares = descriptors.shared_out([3000, 1000, 1], others=8)

    assert sum(shares) < lower_limit - 8
    assert shares[0] == pytest.approx(3 * shares[1], abs=3)
    assert shares[2] == 1
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("descriptors.few", "warning")
    assert (line["max_connections"], line["possible"]) == (4001, sum(shares))


class _Clock:
    """Ten minutes that pass at once."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, delay: timedelta) -> None:
        self.seconds += delay.total_seconds()
        if self.seconds >= 600:
            raise asyncio.CancelledError


def test_none_left_is_said_once_a_minute(lower_limit: int) -> None:
    """Ten minutes without a descriptor are ten lines; with one there is none."""

    async def watched() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await descriptors.watch(_Clock())

    with capture_logs() as quiet:
        asyncio.run(watched())
    loop = asyncio.new_event_loop()
    held: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        with capture_logs() as logs:
            loop.run_until_complete(watched())
    finally:
        for descriptor in held:
            os.close(descriptor)
        loop.close()

    assert quiet == []
    assert [(line["event"], line["limit"]) for line in logs] == [("descriptors.used_up", lower_limit)] * 10
