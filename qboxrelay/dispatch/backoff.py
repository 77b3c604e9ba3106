"""When to try again.

In: how many attempts counted so far, a random source. Out: a delay. Never: a clock.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

_SPREAD = 0.1
_ATTEMPTS_BEFORE_EXPIRY = 3
"""A clock that jumped ahead must not expire what has not had its attempts."""


def retry_delay(schedule: Sequence[timedelta], failures: int, rng: random.Random) -> timedelta:
    """The wait after the n-th counted failure, from 1; the last step repeats; spread by ten percent, so that retries do not herd."""
    step = schedule[min(failures, len(schedule)) - 1]
    return step * rng.uniform(1 - _SPREAD, 1 + _SPREAD)


def is_expired(received_at: datetime, now: datetime, max_age: timedelta, failures: int) -> bool:
    """Whether a submission that just failed for the n-th counted time is given up."""
    return now - received_at >= max_age and failures >= _ATTEMPTS_BEFORE_EXPIRY
