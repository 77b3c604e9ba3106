"""The doors while nobody comes."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from qboxrelay.doors import Doors
from qboxrelay.settings.schema import Settings
from tests.contract.spool.harness import ManualClock


class TwoSleeps(ManualClock):
    """Notes when it wakes, and ends with the second time."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 1010.0
        self.woken: list[float] = []

    async def sleep(self, delay: timedelta) -> None:
        self.advance(delay)
        self.woken.append(self.ticks)
        if len(self.woken) == 2:
            raise asyncio.CancelledError


def test_without_a_certificate_there_is_hardly_anything_to_look_at() -> None:
    """Once a minute, on the minute, whether a reload has brought one."""
    clock = TwoSleeps()
    nobody = cast("Any", None)
    doors = Doors(registry=CollectorRegistry(), clock=clock, admission=nobody, settings=Settings())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(doors.run())

    assert clock.woken == [1020, 1080]
