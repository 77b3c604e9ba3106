"""How a stop divides its time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from qboxrelay.stop import Stop

TIMEOUT = 20.0


class _Time:
    """Monotonic time that only a step moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _granted(spent: list[float], *, hurried_in: int | None = None) -> list[float]:
    """Steps for the doors and for the dispatcher, which spend so many seconds; what each of them was granted, and the closing last."""
    granted: list[float] = []

    async def main() -> None:
        time = _Time()
        stop = Stop(timeout=timedelta(seconds=TIMEOUT), monotonic=time)
        stop.ask()

        def spending(number: int, seconds: float) -> Callable[[timedelta], Awaitable[None]]:
            async def step(grace: timedelta) -> None:
                granted.append(grace.total_seconds())
                if hurried_in == number and len(granted) == number + 1:
                    stop.ask()
                    await asyncio.Event().wait()
                time.now += min(seconds, grace.total_seconds())

            return step

        for number, (part, seconds) in enumerate(zip((0.5, 1.0), spent, strict=True)):
            await stop.grant(part, spending(number, seconds))
        granted.append(stop.closing(timedelta(seconds=2)).total_seconds())

    asyncio.run(main())
    return granted


def test_time_that_is_not_needed_is_passed_on() -> None:
    """A relay without sessions leaves all the time to its requests, but for what the closing needs."""
    assert _granted([0.0, 0.0]) == [8.0, 16.0, 2.0]
    assert _granted([3.0, 0.0]) == [8.0, 13.0, 2.0]


def test_steps_that_take_all_they_may_keep_within_the_timeout() -> None:
    """The sum of what is granted is less than the timeout, also when every step needs more."""
    granted = _granted([60.0, 60.0])

    assert granted == [8.0, 8.0, 2.0]
    assert sum(granted) < TIMEOUT


def test_asking_again_begins_the_step_anew_with_hardly_any_time() -> None:
    """The second signal cuts short the step that is under way, and those behind it."""
    assert _granted([60.0, 0.0], hurried_in=0)[:2] == [8.0, 1.0]
    assert _granted([0.0, 60.0], hurried_in=1) == [8.0, 16.0, 1.0, 0.0]


def test_asked_early_counts_from_then() -> None:
    """What the start has taken since the signal came is part of the stop."""

    async def main() -> float:
        time = _Time()
        stop = Stop(timeout=timedelta(seconds=TIMEOUT), monotonic=time)
        before = stop.asked
        stop.ask()
        time.now += 19
        assert not before
        assert stop.asked
        return stop.closing(timedelta(seconds=2)).total_seconds()

    assert asyncio.run(main()) == 0.5
