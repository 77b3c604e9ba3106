"""The rate of requests: never above the documented one, and as near to it as timers allow."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.dispatch.rate import RateLimit, shared_rates


@given(
    per_second=st.sampled_from([0.5, 1.0, 2.5, 10.0, 100.0]),
    lateness=st.lists(st.floats(0, 0.4) | st.sampled_from([0.0, 5.0]), min_size=40, max_size=80),
)
def test_never_more_in_a_second_than_allowed(per_second: float, lateness: list[float]) -> None:
    """However late timers fire and however long it was idle: no window of a second holds more than the rate."""
    limit, now, starts = RateLimit(per_second), 100.0, []
    for late in lateness:
        now += limit.wait(now) + late
        assert limit.wait(now) == 0
        limit.take(now)
        starts.append(now)

    count = max(1, int(per_second))
    for first, last in zip(starts, starts[count:], strict=False):
        assert last - first >= count / per_second - 1e-9


def test_even_distance() -> None:
    """Requests that are due at once follow one another evenly, so that the next one has time to grow."""
    limit, now, starts = RateLimit(10.0), 0.0, []
    for _ in range(30):
        now += limit.wait(now)
        limit.take(now)
        starts.append(now)

    assert all(0.05 - 1e-9 <= later - earlier <= 0.15 + 1e-9 for earlier, later in pairwise(starts))
    assert starts[-1] <= 2.9 + 1e-9


def test_first_request_does_not_wait() -> None:
    """An idle account sends at once."""
    assert RateLimit(10.0).wait(-1e9) == 0


def test_slower_after_a_refusal_and_back() -> None:
    """What the API finds too fast is halved, down to a tenth; each accepted request brings a little of it back, never above the rate."""
    limit, now = RateLimit(10.0), 0.0

    def distance() -> float:
        nonlocal now
        before = now
        for _ in range(100):
            now += limit.wait(now)
            limit.take(now)
        return (now - before) / 100

    assert distance() == pytest.approx(0.1, rel=0.1)
    limit.too_fast()
    assert distance() == pytest.approx(0.2, rel=0.1)
    for _ in range(10):
        limit.too_fast()
    assert distance() == pytest.approx(1.0, rel=0.1)
    for _ in range(1000):
        limit.accepted()
    assert distance() == pytest.approx(0.1, rel=0.1)


def test_accounts_with_one_token_share_one_rate() -> None:
    """The API counts requests by token, whatever the accounts are called here; the slowest of them decides."""
    limits = shared_rates({"a": ("token", 10.0), "b": ("token", 2.0), "c": ("another", 10.0)})

    limits["a"].take(100.0)
    assert limits["b"] is limits["a"]
    assert limits["b"].wait(100.0) > 0.2
    assert limits["c"].wait(100.0) == 0
