"""/sandbox/switches: what the documentation leaves open, both ways."""

from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from qboxrelay.sandbox.switches import Switches
from tests.contract.sandbox.harness import Client, message

BCC_ONLY = message(to=..., bcc="bob@example.net")


@pytest.mark.parametrize(
    ("switch", "body", "by_default", "switched"),
    [
        ({"bcc_only": True}, BCC_ONLY, 400, 202),
        ({"nulls": True}, message(cc=None, attachments=None), 400, 202),
        ({"empty_lists": True}, message(cc=[]), 400, 202),
        ({"unknown_fields": True}, message(tags=["a"]), 400, 202),
        ({"empty_subject": False}, message(subject=""), 202, 400),
        ({"empty_body": False}, message(text_body=""), 202, 400),
        ({"nul_characters": True}, message(text_body="a\0b"), 400, 202),
        ({"non_ascii_addresses": False}, message(to="böb@example.net"), 202, 400),
        ({"header_syntax": False}, message(headers={"X A": "b"}), 400, 202),
        ({"reserved_headers": ["list-id"]}, message(headers={"List-Id": "x"}), 202, 400),
        ({"max_recipients": 1}, message(cc="eve@example.net"), 202, 400),
        ({"sender_domain": "accept"}, message(**{"from": "a@elsewhere.example"}), 400, 202),
        ({"errors": {"invalid_message": {"status": 422}}}, message(to=...), 400, 422),
    ],
)
def test_what_a_request_may_hold(
    qboxmail: Client, switch: dict[str, Any], body: dict[str, Any], by_default: int, switched: int
) -> None:
    """Each assumption can be turned around while the sandbox runs."""
    before = qboxmail.send(body).status_code
    qboxmail.switch(**switch)

    assert (before, qboxmail.send(body).status_code) == (by_default, switched)


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ({"entries": "none"}, []),
        ({"entries": "recipient"}, ["a", "b", "c"]),
        ({"entry_order": "reversed"}, ["c", "a"]),
        ({"entry_to": False}, [None, None]),
    ],
)
def test_entries_of_an_acceptance(qboxmail: Client, switch: dict[str, Any], expected: list[str | None]) -> None:
    """How many, in which order, whether they name a recipient."""
    qboxmail.switch(**switch)
    body = qboxmail.send(message(to=["a@example.net", "b@example.net"]), message(to="c@example.net")).json()

    assert [entry["to"][0] if "to" in entry else None for entry in body["messages"]] == expected


def test_fields_of_an_acceptance(qboxmail: Client) -> None:
    """Ids, counts, the place of the suppression summary."""
    qboxmail.switch(message_ids=False, queued_counts="recipients", suppression_summary="entry")
    body = qboxmail.send(message(to=["a@example.net", "b@example.net"])).json()

    assert body["queued_messages"] == 2
    assert "suppression_summary" not in body
    assert body["messages"][0]["suppression_summary"]["status"] == "checked"
    assert "message_id" not in body["messages"][0]


def test_the_message_id_may_be_the_one_handed_in(qboxmail: Client) -> None:
    """Whether a supplied Message-ID is kept is not documented."""
    qboxmail.switch(keep_message_id=True, nulls=True)
    body = qboxmail.send(message(headers={"Message-ID": "<mine@example.com>"}), message(headers=None)).json()

    assert body["messages"][0]["message_id"] == "mine@example.com"
    assert body["messages"][1]["message_id"].endswith("@example.com")


def test_errors_may_look_otherwise(qboxmail: Client) -> None:
    """Status, slug, and whether there is a request_id."""
    qboxmail.switch(errors={"unauthorized": {"status": 403, "slug": "bad_token"}}, error_request_id=False)
    answer = qboxmail.send(message(), token="wrong")

    assert answer.status_code == 403
    assert answer.json() == {"error_code": 403, "message": answer.json()["message"], "error": "bad_token"}


def test_the_rate_can_be_off(qboxmail: Client) -> None:
    """For measurements."""
    qboxmail.switch(rate_limit=False)

    assert {qboxmail.send(message()).status_code for _ in range(40)} == {202}


@pytest.mark.parametrize("form", ["none", "date"])
def test_forms_of_retry_after(qboxmail: Client, form: str) -> None:
    """Seconds, a date, or missing."""
    qboxmail.switch(rate_burst=1, rate_retry_after=form)
    while (answer := qboxmail.send(message())).status_code != 429:
        pass
    given = answer.headers.get("retry-after")

    assert given is None if form == "none" else parsedate_to_datetime(str(given))


def test_a_request_to_suppressed_recipients_only_may_be_refused(qboxmail: Client) -> None:
    """What the API answers then is not documented."""
    qboxmail.manage_post("suppression_lists", {"email": "bob@example.net", "reason": "complaint"})
    qboxmail.switch(suppressed="refuse")

    assert qboxmail.send(message()).json()["error"] == "suppressed"
    assert qboxmail.send(message(), message(to="eve@example.net")).status_code == 202
    qboxmail.http.put("/sandbox/accounts/1", json={"ignore_suppression_list": True})
    assert qboxmail.send(message()).status_code == 202


def test_switches_are_labelled_and_can_be_put_back(qboxmail: Client) -> None:
    """Every switch has a sentence; DELETE returns to the beginning."""
    qboxmail.switch(bcc_only=True)
    shown = qboxmail.http.get("/sandbox/switches").json()
    back = qboxmail.http.delete("/sandbox/switches").json()

    assert shown["assumed"] == Switches(bcc_only=True).model_dump(mode="json")
    assert set(shown["described"]) == set(shown["assumed"])
    assert all(shown["described"].values())
    assert back["assumed"]["bcc_only"] is False


@pytest.mark.parametrize(
    "values", [{"no_such": 1}, {"entries": "many"}, {"rate_burst": 0}, {"errors": {"oops": {}}}, []]
)
def test_a_switch_that_makes_no_sense_is_refused(qboxmail: Client, values: Any) -> None:
    """And nothing changes."""
    answer = qboxmail.http.put("/sandbox/switches", json=values)

    assert answer.status_code == 422
    assert qboxmail.http.get("/sandbox/switches").json()["assumed"] == Switches().model_dump(mode="json")
