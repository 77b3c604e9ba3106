"""How much goes into the next request."""

from qboxrelay.dispatch.size import BatchSize
from qboxrelay.settings.schema import AccountSettings


def size() -> BatchSize:
    return BatchSize(AccountSettings.model_validate({"max_messages_per_request": 100, "max_request_bytes": 10_000}))


def test_starts_at_the_documented_limits() -> None:
    """The frame around the messages is part of the bytes."""
    limits = size()

    assert (limits.messages, limits.bytes) == (100, 10_000 - len('{"messages":[]}'))


def test_shrinks_to_half_of_what_was_refused_down_to_one() -> None:
    """Late answers to requests of an older size do not let it grow, and it never reaches nothing."""
    limits = size()
    for messages in (80, 90, 40, 1, 1):
        limits.refused(messages, 8000, by_bytes=False)
    assert (limits.messages, limits.bytes) == (1, 9985)

    for refused in (8000, 9000, 1, 1):
        limits.refused(80, refused, by_bytes=True)
    assert limits.bytes == 1


def test_grows_back_to_the_limits() -> None:
    """Each accepted request lets it grow, never above the limits."""
    limits = size()
    limits.refused(2, 4, by_bytes=False)
    limits.refused(2, 4, by_bytes=True)
    limits.accepted()
    assert (limits.messages, limits.bytes) == (2, 3)
    for _ in range(60):
        limits.accepted()
    assert (limits.messages, limits.bytes) == (100, 9985)


def test_refused_for_one_of_several_shrinks_the_next_requests() -> None:
    """A request of the present size, by number or by bytes, does; a part of an earlier one does not."""
    limits = size()
    limits.poisoned(50, 100)
    assert limits.messages == 100
    limits.poisoned(100, 100)
    assert limits.messages == 50
    limits.poisoned(20, 9000)
    assert limits.messages == 10
    for _ in range(9):
        limits.poisoned(limits.messages, 1)
    assert limits.messages == 1


def test_grows_from_one_after_an_outage() -> None:
    """An API that has just come back is not met with all that waited for it."""
    limits = size()
    limits.restart()
    sizes = []
    for _ in range(9):
        sizes.append(limits.messages)
        limits.accepted()

    assert sizes == [1, 2, 4, 8, 16, 32, 64, 100, 100]
