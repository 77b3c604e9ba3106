"""Entries of a 202 and the submissions they speak of: matched by what they say, or not at all."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.model.outcome import Accepted, Deferred, Outcome, Refused, Unknown
from qboxrelay.qboxmail.entries import match_entries

THREE = (("a@example.net",), ("b@example.net", "b2@example.net"), ("c@example.net",))


def match(entries: Sequence[Any], recipients: Sequence[Sequence[str]] = THREE, **body: Any) -> tuple[Outcome, ...]:
    return match_entries(entries, recipients, "r-1", body)


def ok(to: object = None, message_id: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error_code": 0, "message_id": message_id, "to": to, **more}


def bad(to: object = None, code: object = 400, **more: Any) -> dict[str, Any]:
    return {"error_code": code, "message": "no", "to": to, **more}


def ids(outcomes: tuple[Outcome, ...]) -> list[str | None]:
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    return [outcome.message_id for outcome in outcomes if isinstance(outcome, Accepted)]


def test_out_of_order() -> None:
    """Entries are matched by their `to`, in whatever order, case or notation."""
    entries = [
        ok(["C@EXAMPLE.NET"], "3"),
        ok('"Last, First" <a@example.net>', "1"),
        ok({"address": "b2@example.net"}, "2"),
    ]

    assert ids(match(entries)) == ["1", "2", "3"]


def test_position_says_nothing() -> None:
    """Without `to` no entry is anyone's, although there are as many as submissions."""
    assert ids(match([ok(message_id="1"), ok(message_id="2"), ok(message_id="3")])) == [None, None, None]


def test_one_for_each_recipient() -> None:
    """Several entries of one submission are all its own."""
    entries = [ok("a@example.net", "1"), ok("b@example.net", "2"), ok("b2@example.net", "2b"), ok("c@example.net", "3")]

    assert ids(match(entries)) == ["1", "2, 2b", "3"]


def test_fewer_more_and_none() -> None:
    """A submission without an entry is accepted without an id; an entry without a submission is nobody's."""
    assert ids(match([ok("c@example.net", "3")])) == [None, None, "3"]
    assert ids(match([ok("a@example.net", "1"), ok("stranger@example.net", "9")])) == ["1", None, None]
    assert ids(match([])) == [None, None, None]


def test_same_recipient_twice() -> None:
    """Two submissions to one mailbox: an entry for it could be either's, so it is neither's."""
    assert ids(match([ok("x@y.z", "1"), ok("x@y.z", "2")], (("x@y.z",), ("x@y.z",)))) == [None, None]


def test_same_id_twice() -> None:
    """An id that two submissions would share belongs to neither; without ids nothing is shared."""
    entries = [ok("a@example.net", "1"), ok("c@example.net", "1"), ok("b@example.net", "2")]

    assert ids(match(entries)) == [None, "2", None]


def test_one_submission_owns_everything() -> None:
    """One submission in the request: every entry is its own, whatever it calls its recipient."""
    (outcome,) = match(
        [ok("someone else", "1", submitted_at="t"), 7], [["a@example.net"]], suppression_summary={"n": 1}
    )

    assert outcome == Accepted(request_id="r-1", message_id="1", submitted_at="t", suppression='{"n":1}')


def test_ids_from_inside_when_the_answer_has_none() -> None:
    """The entry's own request_id and suppression summary stand in for those of the answer."""
    entry = ok("a@example.net", "1", request_id="inner", suppression_summary=["s"])
    (outcome,) = match_entries([entry], [["a@example.net"]], None, {})

    assert outcome == Accepted(request_id="inner", message_id="1", suppression='["s"]')


@pytest.mark.parametrize("code", [400, 422, "400", 1, True, "slug", float("1e999"), [1]])
def test_matched_refusal(code: object) -> None:
    """An entry that refuses and is matched fails its submission, and only it."""
    outcomes = match(
        [ok("a@example.net", "1"), bad(["b@example.net", "b2@example.net"], code), ok("c@example.net", "3")]
    )

    assert [type(outcome) for outcome in outcomes] == [Accepted, Refused, Accepted]


@pytest.mark.parametrize("code", [401, 403, 408, 429, 500, 503])
def test_matched_refusal_that_is_temporary(code: int) -> None:
    """A code that blames the account or the moment defers its submission."""
    outcomes = match([bad("a@example.net", code, error="slug", request_id="inner")])

    assert isinstance(outcomes[0], Deferred)
    assert (outcomes[0].error, outcomes[0].request_id, outcomes[0].status) == ("slug", "inner", code)


@pytest.mark.parametrize("code", [None, 0, "0", "", False, 0.0])
def test_no_code_is_success(code: object) -> None:
    """Zero, nothing and absence all say that the entry was accepted."""
    assert ids(match([bad("a@example.net", code)])) == [None, None, None]


def test_refusal_without_words() -> None:
    """A refusal that gives no reason is named by its code."""
    (outcome,) = match([{"error_code": 418}], [["a@example.net"]])

    assert outcome == Refused(status=418, text="error_code 418", request_id="r-1")


def test_unmatched_refusal_holds_those_it_may_mean() -> None:
    """A refusal of nobody in particular: whoever has no entry that settles it is held, never lost, never sent again."""
    outcomes = match([ok("a@example.net", "1"), bad(), ok("b@example.net", "2")])

    # As many entries as submissions, one each: the second recipient of b has no entry of its own.
    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted, Unknown]
    assert isinstance(outcomes[2], Unknown)
    assert outcomes[2].hold


def test_unmatched_refusal_of_a_recipient() -> None:
    """With an entry for each recipient, an unnamed refusal may be about the recipient that no entry names."""
    outcomes = match([ok("a@example.net", "1"), bad(), ok("b@example.net", "2"), ok("c@example.net", "3")])

    assert [type(outcome) for outcome in outcomes] == [Accepted, Unknown, Accepted]


def test_refused_for_some_recipients() -> None:
    """Accepted for one recipient and refused for another: sending it again would duplicate, so an operator decides."""
    outcomes = match([ok("b@example.net", "2"), bad("b2@example.net")])

    assert isinstance(outcomes[1], Unknown)
    assert outcomes[1].hold


def test_refusal_that_could_be_either_of_two() -> None:
    """A refusal whose recipient stands in two submissions holds these two, and no third."""
    outcomes = match([bad("x@y.z")], (("x@y.z",), ("x@y.z",), ("c@example.net",)))

    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown, Accepted]


addresses = st.sampled_from(["a@x.y", "b@x.y", "c@x.y", "d@x.y"])


@given(
    recipients=st.lists(st.lists(addresses, min_size=1, max_size=3, unique=True), min_size=2, max_size=4),
    order=st.randoms(),
    each=st.booleans(),
    keep=st.integers(0, 12),
    named=st.booleans(),
)
def test_no_id_is_ever_given_to_a_stranger(
    recipients: list[list[str]], order: Any, keep: int, *, each: bool, named: bool
) -> None:
    """In any order, for each message or each recipient, complete or not: an id that is recorded is the submission's own."""
    entries = [
        ok(", ".join(to) if named else None, f"id-{place}")
        for place, mine in enumerate(recipients)
        for to in ([[address] for address in mine] if each else [mine])
    ]
    order.shuffle(entries)

    for place, outcome in enumerate(match(entries[: keep or None], recipients)):
        assert isinstance(outcome, Accepted)
        assert outcome.message_id in {None, f"id-{place}"}


said = st.fixed_dictionaries(
    {"to": st.one_of(addresses, st.sampled_from(["A@X.Y", "stranger@x.y"]))},
    optional={
        "error_code": st.sampled_from([0, None, "0", 400, 503]),
        "message_id": st.sampled_from([None, "", "1", "2", 3]),
        "submitted_at": st.sampled_from([None, "t", 5]),
        "suppression_summary": st.sampled_from([None, {}, {"n": 1}]),
        "request_id": st.just("inner"),
    },
)


@given(
    entries=st.lists(said, max_size=5),
    recipients=st.lists(st.lists(addresses, min_size=1, max_size=2), min_size=1, max_size=4),
    request_id=st.sampled_from([None, "r-1"]),
    summary=st.sampled_from([None, {"status": "checked"}]),
)
def test_notation_changes_nothing(
    entries: list[dict[str, Any]], recipients: list[list[str]], request_id: str | None, summary: object
) -> None:
    """A bare address, which is read on a short way of its own, says the same as that address in a list."""
    body = {"suppression_summary": summary}
    listed = [{**entry, "to": [entry["to"]]} for entry in entries]

    assert match_entries(entries, recipients, request_id, body) == match_entries(listed, recipients, request_id, body)
