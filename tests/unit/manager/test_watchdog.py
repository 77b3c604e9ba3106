"""The watchdog is fed exactly while every part makes progress."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from qboxrelay.manager.notify import Notifier
from qboxrelay.manager.watchdog import Pulse, Watchdog
from tests.support.service_manager import NotifySocket

PATIENCE = timedelta(milliseconds=50)
ROUNDS = 5


class _Rounds:
    """A clock that ends the watchdog after some rounds, and takes no time for them."""

    def __init__(self) -> None:
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, delay: timedelta) -> None:
        self.slept.append(delay)
        if len(self.slept) == ROUNDS:
            raise asyncio.CancelledError


async def beats() -> bool:
    return True


async def says_no() -> bool:
    return False


async def hangs() -> bool:
    await asyncio.Event().wait()
    return True


def fed(**pulses: Pulse) -> int:
    listening = NotifySocket()
    watchdog = Watchdog(notifier=Notifier(listening.environ["NOTIFY_SOCKET"], PATIENCE), pulses=pulses, clock=_Rounds())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(watchdog.run())
    count = listening.count("WATCHDOG=1")
    listening.close()
    return count


def test_fed_while_all_is_well() -> None:
    assert fed(writer=beats, dispatcher=beats) == ROUNDS


@pytest.mark.parametrize("stuck", [says_no, hangs])
@pytest.mark.parametrize("part", ["writer", "dispatcher"])
def test_not_fed_while_one_part_is_stuck(part: str, stuck: Pulse) -> None:
    """One part without progress is enough, whether it says so or says nothing."""
    assert fed(**{"writer": beats, "dispatcher": beats, part: stuck}) == 0


def test_no_watchdog_no_rounds() -> None:
    """Where the manager does not watch, nothing is asked."""
    clock = _Rounds()
    asyncio.run(Watchdog(notifier=Notifier(), pulses={"writer": hangs}, clock=clock).run())
    assert clock.slept == []
