"""The words for faults."""

from typing import get_args

from qboxrelay.sandbox.faults import ACTIONS, EARLY, Action, Faults, Rule
from qboxrelay.sandbox.misbehave import _WAYS


def test_every_action_is_described() -> None:
    """GET /sandbox/faults tells what there is."""
    assert set(ACTIONS) == set(get_args(Action))
    assert set(_WAYS) | EARLY <= set(ACTIONS)


def test_the_first_rule_that_hits_decides() -> None:
    """In the order they were given; one that is used up leaves the next."""
    faults = Faults()
    faults.add([Rule(action="hang", count=1), Rule(action="status")])
    hits = [faults.late("/v1/send", 1) for _ in range(3)]

    assert [hit.action if hit else None for hit in hits] == ["hang", "status", "status"]
    assert faults.late("/api/delivery/domains", None) is None


def test_a_rule_about_messages_needs_a_message() -> None:
    """Whatever stands in its place."""
    rule = Rule(action="status", subject="x")

    others: list[object] = [None, [], "x", {}, {"subject": "y"}, {"subject": None}]

    assert not any(rule.picks(other) for other in others)
    assert rule.picks({"subject": "a x b"})
    assert not Rule(action="status", header={"X-A": ""}).picks({"headers": {"X-B": "c"}})
    assert not Rule(action="status", header={"X-A": ""}).picks({"headers": "X-A"})
    assert Rule(action="status", header={"x-a": "2"}).picks({"headers": {"X-A": ["1", "2"]}})
