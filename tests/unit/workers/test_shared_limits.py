"""Limits that several processes count together."""

from datetime import timedelta

from qboxrelay.policy.login.throttle import Throttle
from qboxrelay.settings.schema import LoginSettings
from qboxrelay.smtp.limits import PerMinute
from qboxrelay.workers.board import Board, SharedMemory
from tests.contract.spool.harness import ManualClock


def test_memory_is_one_for_all() -> None:
    """What one worker holds is not there for the others, until it gives it back."""
    board = Board.make()
    one, other = SharedMemory(board, 0), SharedMemory(Board(board.descriptor), 1)
    one.limit = other.limit = 100

    assert one.take(60)
    assert not other.take(50)
    assert other.take(40)
    one.give(60)
    assert other.take(60)
    board.write(1, 0)
    assert one.take(100), "what a worker held that is gone"


def test_messages_in_a_minute() -> None:
    """Counted where they come, and told to the others, which do not tell it on."""
    clock, told = ManualClock(), list[str]()
    here, there = PerMinute(2, clock, told.append), PerMinute(2, clock)
    assert here.allow("ann")
    there.elsewhere("ann")
    assert there.allow("ann")
    assert not there.allow("ann")
    assert told == ["ann"]
    clock.ticks += 60
    assert there.allow("ann")


def test_a_limit_that_is_none() -> None:
    """Nothing is counted, wherever it comes from."""
    limit = PerMinute(0, ManualClock())
    limit.elsewhere("ann")
    assert limit.allow("ann")


def test_logins() -> None:
    """Failures elsewhere count here, and who has logged in elsewhere is known here."""
    settings = LoginSettings(max_failures_per_address=2, max_failures_per_user=2, failure_window=timedelta(minutes=5))
    here = Throttle(settings)

    def tell(*words: str) -> None:
        kind, outcome, address, user = words
        assert kind == "login"
        here.elsewhere(outcome, address, user, 0.0)

    there = Throttle(settings, tell)
    there.failed("192.0.2.1", b"caf\xe9", 0)
    assert here.blocked("192.0.2.1", b"caf\xe9", 0) is None
    there.failed("192.0.2.1", b"caf\xe9", 0)
    assert here.blocked("192.0.2.1", b"caf\xe9", 0) is not None
    there.succeeded("192.0.2.1", b"erp", 0)
    assert here.blocked("192.0.2.1", b"erp", 0) is None, "a pair that has logged in is counted by itself"
