"""How soon a mail is to leave, by its header."""

import pytest

from qboxrelay.policy.priority import priority_of


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], 0),
        ([("Subject", "urgent")], 0),
        ([("X-Priority", "1 (Highest)")], 1),
        ([("x-priority", " 2 ")], 1),
        ([("X-Priority", "3")], 0),
        ([("X-Priority", "5 (Lowest)")], -1),
        ([("X-Priority", "12")], 0),
        ([("Priority", "Urgent")], 1),
        ([("Priority", "normal")], 0),
        ([("Priority", "non-urgent")], -1),
        ([("Importance", "high")], 1),
        ([("Importance", "low")], -1),
        ([("X-MSMail-Priority", "High")], 1),
        ([("Precedence", "bulk")], -1),
        ([("Precedence", "list")], -1),
        ([("Precedence", "first-class")], 0),
        ([("X-Priority", "1"), ("Precedence", "bulk")], -1),
        ([("X-Priority", "3"), ("Importance", "high")], 1),
        ([("X-Priority", "")], 0),
    ],
)
def test_header_asks_for_a_priority(headers: list[tuple[str, str]], expected: int) -> None:
    """The fields that mail programs write; bulk is low, whatever stands beside it."""
    assert priority_of(headers) == expected
