"""The request rate of one token."""

from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.sandbox.rate import TokenBucket


def test_an_idle_token_may_burst_and_then_waits() -> None:
    """The burst at once, then one request for each refill; the wait says when."""
    bucket = TokenBucket()
    waits = [bucket.take(100.0, per_second=10, burst=3) for _ in range(4)]

    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3] == 0.1
    assert bucket.take(100.05, per_second=10, burst=3) > 0
    assert bucket.take(100.11, per_second=10, burst=3) == 0.0


@given(gaps=st.lists(st.floats(0, 1), max_size=200), burst=st.integers(1, 20))
def test_never_more_than_burst_and_refill(gaps: list[float], burst: int) -> None:
    """However requests are spread, no more pass than the burst and ten for each second gone by."""
    bucket, now, passed = TokenBucket(), 0.0, 0
    for gap in gaps:
        now += gap
        passed += bucket.take(now, per_second=10, burst=burst) == 0.0

    assert passed <= burst + 10 * now + 1e-6
