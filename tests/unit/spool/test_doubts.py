"""Claims whose commit was not heard of, as long as they matter."""

from datetime import timedelta
from itertools import count

from qboxrelay.spool.postgres.doubts import Doubts

MINUTE = timedelta(minutes=1)


class Now:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def doubts_at(now: Now) -> Doubts:
    numbers = count(1)
    return Doubts(monotonic=now, draw=lambda: next(numbers))


def test_a_claim_that_was_written() -> None:
    """It is looked for until it is found."""
    doubts = doubts_at(Now())
    leases = [doubts.lease(account, MINUTE) for account in ("a", "b", "a")]
    for lease in leases:
        lease.written = True
        doubts.unheard(lease)
    assert doubts.tokens() == [1, 2, 3]
    assert doubts.accounts() == {"a", "b"}
    doubts.settled([2, 9])
    assert doubts.tokens() == [1, 3]
    assert doubts.accounts() == {"a"}


def test_a_claim_that_leased_nothing() -> None:
    """There is nothing to be found."""
    doubts = doubts_at(Now())
    doubts.unheard(doubts.lease("a", MINUTE))
    assert doubts.tokens() == []


def test_a_lease_that_ran_out() -> None:
    """Whoever claimed since has ended it."""
    now = Now()
    doubts = doubts_at(now)
    lease = doubts.lease("a", MINUTE)
    lease.written = True
    doubts.unheard(lease)
    now.seconds += 59
    assert doubts.tokens() == [1]
    now.seconds += 1
    assert doubts.tokens() == []
    assert doubts.accounts() == set()


def test_tokens_are_drawn_by_chance() -> None:
    """And fit the column."""
    doubts = Doubts(monotonic=Now())
    tokens = {doubts.lease("a", MINUTE).token for _ in range(100)}
    assert len(tokens) == 100
    assert all(0 <= token < 2**63 for token in tokens)
