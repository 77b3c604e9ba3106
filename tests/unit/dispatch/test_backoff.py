"""The retry schedule and when mail is given up."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.dispatch.backoff import is_expired, retry_delay

SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 3600))
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_delay_is_its_step_give_or_take_ten_percent(failures: int, seed: int) -> None:
    """Each failure takes the next step, the last one repeats, and no two mails need wait equally long."""
    step = SCHEDULE[min(failures, 3) - 1]

    assert step * 0.9 <= retry_delay(SCHEDULE, failures, random.Random(seed)) <= step * 1.1


def test_given_up_only_old_and_tried() -> None:
    """Mail is given up at its maximum age, and not before three attempts: a clock that jumped ahead expires nothing."""
    day = timedelta(days=1)

    assert is_expired(NOW - day, NOW, day, failures=3)
    assert not is_expired(NOW - day, NOW, day, failures=2)
    assert not is_expired(NOW - day + timedelta(seconds=1), NOW, day, failures=99)
