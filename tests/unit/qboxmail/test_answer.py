"""What each answer of the Send API means, for the request and for the mail in it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.model.outcome import Accepted, Deferred, Outcome, Refused, Unknown
from qboxrelay.qboxmail.answer import Answer, Effect, Verdict, read_answer, retry_after

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECIPIENTS = (("a@example.net",), ("b@example.net",), ("c@example.net",))
ERROR = {"error_code": 400, "message": "words", "error": "slug", "request_id": "r-1"}
PAGE = b"  <html>gateway</html>"


def read(status: int, body: object = None, headers: Mapping[str, str] | None = None, count: int = 1) -> Verdict:
    content = body if isinstance(body, bytes) else json.dumps(ERROR if body is None else body).encode()
    return read_answer(Answer(status=status, headers=headers or {}, body=content), RECIPIENTS[:count], NOW)


def only(verdict: Verdict) -> Outcome:
    (outcome,) = verdict.outcomes
    return outcome


@pytest.mark.parametrize("status", [400, 422, 413])
def test_refusal_of_one_is_final_with_the_apis_words(status: int) -> None:
    """One mail in the request: the refusal is its own, and slug, words and request_id are kept."""
    verdict = read(status)

    assert only(verdict) == Refused(status=status, text="words", error="slug", request_id="r-1")
    assert (verdict.effect, verdict.status, verdict.request_id, verdict.error) == (Effect.NONE, status, "r-1", "slug")


@pytest.mark.parametrize(("status", "effect"), [(400, Effect.BISECT), (422, Effect.BISECT), (413, Effect.SMALLER)])
def test_refusal_of_several_blames_nobody(status: int, effect: Effect) -> None:
    """Several in the request: nobody knows which one it was, so none of them is blamed."""
    verdict = read(status, count=3)

    assert verdict.effect is effect
    assert all(isinstance(outcome, Deferred) and not outcome.counted for outcome in verdict.outcomes)


def test_refusal_that_is_not_the_apis() -> None:
    """A gateway's page with 400, or a 422 in a shape nobody knows, says nothing of the mail: it is tried again."""
    for verdict in (read(400, PAGE), read(400, b"x", {"content-type": "text/html"}), read(422, b"nonsense")):
        assert isinstance(only(verdict), Deferred)
        assert verdict.effect is Effect.TROUBLE


def test_empty_400_is_believed() -> None:
    """A 400 without a word is still the status that is documented as final."""
    assert only(read(400, b"")) == Refused(status=400, text="HTTP status 400 without an error of the Send API")


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308, 401, 403, 404, 405, 407])
def test_configuration_is_not_the_mails_fault(status: int) -> None:
    """Token, host and redirects concern the account: its mail waits and does not age by it."""
    verdict = read(status, count=2)

    assert verdict.effect is Effect.CONFIGURATION
    assert [getattr(outcome, "counted", None) for outcome in verdict.outcomes] == [False, False]
    # explains the kinds of token, which the API's words do not
    assert ("Management API token" in verdict.text) == (status == 401)


@pytest.mark.parametrize(
    ("body", "count", "effect", "reason"),
    [
        ({"error": "rate_limited", "message": "Too many requests: 10 per second, plan basic."}, 5, Effect.RATE, "rate"),
        ({"message": "Slow down"}, 1, Effect.RATE, "rate"),
        (b"", 2, Effect.RATE, "rate"),
        ({"error": "quota_exceeded", "message": "no"}, 1, Effect.QUOTA, "quota"),
        ({"error": "quota_exceeded", "message": "too many requests"}, 3, Effect.SMALLER, "quota"),
        ({"error": "limit", "message": "The daily limit is reached"}, 1, Effect.QUOTA, "quota"),
    ],
)
def test_rate_and_quota_are_told_apart(body: object, count: int, effect: Effect, reason: str) -> None:
    """Both are 429: the slug decides, else the words; a quota that refuses several is tried with fewer."""
    verdict = read(429, body, {"retry-after": "7"}, count=min(count, 3))

    assert verdict.effect is effect
    assert all(
        isinstance(outcome, Deferred)
        and (outcome.reason, outcome.counted, outcome.retry_after) == (reason, False, timedelta(seconds=7))
        for outcome in verdict.outcomes
    )


@pytest.mark.parametrize("status", [100, 408, 409, 418, 425, 451, 500, 501, 503, 505, 599, 700])
def test_any_other_status_is_temporary(status: int) -> None:
    """A status nobody foresaw must not destroy mail."""
    verdict = read(status, PAGE, {"retry-after": "3"})
    outcome = only(verdict)

    assert isinstance(outcome, Deferred)
    assert (outcome.reason, outcome.counted, outcome.retry_after) == (f"http_{status}", True, timedelta(seconds=3))
    assert verdict.effect is Effect.TROUBLE


@pytest.mark.parametrize("status", [502, 504])
def test_gateway_without_an_answer_knows_nothing(status: int) -> None:
    """The request reached a gateway that had no answer: what stood behind it may have the mail."""
    verdict = read(status, PAGE, count=2)

    assert all(isinstance(outcome, Unknown) and outcome.reason == f"http_{status}" for outcome in verdict.outcomes)
    assert verdict.effect is Effect.TROUBLE


@pytest.mark.parametrize(
    "body",
    [
        PAGE,
        b"",
        b"[]",
        b"3",
        b"{",
        {},
        {"message": "OK"},
        {"messages": {}},
        {**ERROR},
        {"messages": [], "error_code": []},
    ],
)
def test_2xx_that_is_not_the_apis_is_unknown(body: object) -> None:
    """A captive portal answers 200, too: without the API's own words, nothing is known to be accepted."""
    verdict = read(200, body, count=2)

    assert [type(outcome) for outcome in verdict.outcomes] == [Unknown, Unknown]
    assert verdict.effect is Effect.TROUBLE


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"request_id": "r"},
        {"queued_messages": 1, "error_code": "0"},
        {"queued_messages": 1, "error_code": None},
        {"request_id": "r", "messages": "three", "message": 7},
        {"messages": [1, None, "x"], "error_code": ""},
    ],
)
def test_2xx_of_the_api_is_accepted_whatever_is_missing(body: dict[str, Any]) -> None:
    """Every field but one may be missing or odd: accepted is accepted, and is not sent again."""
    verdict = read(202, body, {"retry-after": "60"}, count=2)

    assert [type(outcome) for outcome in verdict.outcomes] == [Accepted, Accepted]
    assert verdict.effect is Effect.NONE


def test_long_words_are_cut() -> None:
    """An error's text is kept up to a limit, so that no answer fills the spool."""
    outcome = only(read(400, {"error": "slug", "message": "x" * 10_000}))

    assert isinstance(outcome, Refused)
    assert len(outcome.text) == 500


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("999999999999", 10**9),
        ("9" * 5000, 10**9),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Mon, 99 Foo 10000 99:99:99 +9999", None),
    ],
)
def test_retry_after(value: str, wait: int | None) -> None:
    """Seconds or a date (RFC 9110 §10.2.3); the past is now, nonsense is nothing."""
    expected = None if wait is None else timedelta(seconds=wait)

    assert retry_after({"retry-after": value}, NOW) == expected


@pytest.mark.parametrize(
    ("date", "wait"),
    [
        ("Sat, 21 Nov 2026 08:00:00 GMT", 30),
        ("Sun, 22 Nov 2026 08:00:00 GMT", 0),
        ("soon", 0),
    ],
)
def test_retry_after_by_a_clock_that_is_wrong(date: str, wait: int) -> None:
    """A date counts from the answer's own Date: an API four hours behind would otherwise be asked again at once."""
    headers = {"retry-after": "Sat, 21 Nov 2026 08:00:30 GMT", "date": date}

    assert retry_after(headers, NOW) == timedelta(seconds=wait)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "error_code",
        "message",
        "request_id",
        "queued_messages",
        "messages",
        "error",
        "to",
        "message_id",
        "suppression_summary",
    ]
)
objects = st.dictionaries(names, json_values | st.lists(st.dictionaries(names, json_values), max_size=4))


@given(
    status=st.integers(100, 999),
    body=objects.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60),
    header=st.text(max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]\d{1,9}"),
    count=st.integers(1, 3),
)
def test_no_answer_is_a_surprise(status: int, body: bytes, header: str, count: int) -> None:
    """Whatever comes, there is one outcome for each mail, and only documented statuses destroy one."""
    answer = Answer(status=status, headers={"retry-after": header}, body=body)
    verdict = read_answer(answer, RECIPIENTS[:count], NOW)

    assert len(verdict.outcomes) == count
    if any(isinstance(outcome, Refused) for outcome in verdict.outcomes):
        assert status in {400, 413, 422} or 200 <= status < 300
        assert count == 1 or 200 <= status < 300
