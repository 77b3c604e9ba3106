"""Failed logins, counted in windows that slide, by a clock that a test moves."""

import pytest

from qboxrelay.policy.login import throttle as module
from qboxrelay.policy.login.throttle import Throttle
from qboxrelay.settings.schema import LoginSettings

A, B = "192.0.2.1", "192.0.2.2"


def throttle(address: int = 3, user: int = 5) -> Throttle:
    return Throttle(
        LoginSettings.model_validate(
            {"failure_window": "10m", "max_failures_per_address": address, "max_failures_per_user": user}
        )
    )


def test_address_is_blocked_until_its_oldest_failure_is_out_of_the_window() -> None:
    """The window slides: there is no moment at which everything is forgotten."""
    limits = throttle()
    for at in (0.0, 100.0, 200.0):
        assert limits.blocked(A, b"x", at) is None
        limits.failed(A, b"x%d" % at, at)

    assert limits.blocked(A, b"x", 200.0) == ("address", 400.0)
    assert limits.blocked(A, b"other", 599.0) == ("address", 1.0)
    assert limits.blocked(A, b"x", 600.0) is None
    limits.failed(A, b"x", 600.0)
    assert limits.blocked(A, b"x", 600.0) == ("address", 100.0)


def test_other_addresses_are_not_blocked() -> None:
    """One attacker does not lock out everybody."""
    limits = throttle()
    for _ in range(3):
        limits.failed(A, b"x", 0.0)

    assert limits.blocked(B, b"x", 0.0) is None


def test_user_is_blocked_wherever_the_failures_come_from() -> None:
    """A name is guarded against many addresses that guess together."""
    limits = throttle()
    for number in range(5):
        limits.failed(f"192.0.2.{number}", b"erp", 0.0)

    assert limits.blocked("198.51.100.7", b"erp", 0.0) == ("user", 600.0)
    assert limits.blocked("198.51.100.7", b"crm", 0.0) is None


def test_pair_that_has_logged_in_is_not_locked_out_by_others() -> None:
    """Guesses from elsewhere, or behind the same address, do not stop an application that works."""
    limits = throttle()
    limits.succeeded(A, b"erp", 0.0)
    for number in range(9):
        limits.failed(f"198.51.100.{number}", b"erp", 1.0)
        limits.failed(A, b"guess%d" % number, 1.0)

    assert limits.blocked(B, b"erp", 1.0) == ("user", 600.0)
    assert limits.blocked(A, b"guess", 1.0) == ("address", 600.0)
    assert limits.blocked(A, b"erp", 1.0) is None


def test_pair_has_a_limit_of_its_own() -> None:
    """Who knows a pair that works may not guess for ever; nor does it hinder others."""
    limits = throttle()
    limits.succeeded(A, b"erp", 0.0)
    for _ in range(5):
        limits.failed(A, b"erp", 1.0)

    assert limits.blocked(A, b"erp", 1.0) == ("pair", 600.0)
    assert limits.blocked(A, b"crm", 1.0) is None
    assert limits.blocked(B, b"erp", 1.0) is None


def test_pair_is_forgotten_after_a_day() -> None:
    """Addresses change their owners."""
    limits = throttle()
    limits.succeeded(A, b"erp", 0.0)
    for _ in range(3):
        limits.failed(A, b"x", 86_399.0)

    assert limits.blocked(A, b"erp", 86_399.0) is None
    assert limits.blocked(A, b"erp", 86_400.0) == ("address", 599.0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    """An IPv6 client has a /64 to choose its addresses from."""
    limits = throttle()
    for _ in range(3):
        limits.failed(one, b"x", 0.0)

    assert (limits.blocked(other, b"y", 0.0) is not None) is same


def test_no_limit() -> None:
    """0 is none."""
    limits = throttle(address=0, user=0)
    for _ in range(100):
        limits.failed(A, b"x", 0.0)

    assert limits.blocked(A, b"x", 0.0) is None


def test_memory_is_bounded() -> None:
    """Strangers may come with as many addresses and names as they like."""
    limits = throttle()
    for number in range(3 * module._MAX_ENTRIES):
        limits.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", b"name%d" % number, 0.0)
        limits.succeeded(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", b"user%d" % number, 0.0)

    assert len(limits._failures) <= module._MAX_ENTRIES
    assert len(limits._known) <= module._MAX_ENTRIES


def test_windows_that_are_over_are_given_back() -> None:
    """What is looked at after its time is forgotten."""
    limits = throttle()
    limits.failed(A, b"x", 0.0)

    assert limits.blocked(A, b"x", 601.0) is None
    assert not limits._failures
