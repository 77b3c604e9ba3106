"""`POST /v1/send`: what the documentation promises of an acceptance and of a refusal."""

import re
import socket
from typing import Any

import orjson
import pytest

from tests.contract.sandbox.harness import SEND_TOKEN, Client, message, serving

UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"


def test_acceptance_has_the_documented_shape(qboxmail: Client) -> None:
    """API page responses-pagination: the envelope and six inner fields."""
    answer = qboxmail.send(message(), message(to="Eve <eve@example.net>"))
    body = answer.json()

    assert answer.status_code == 202
    assert (body["error_code"], body["message"], body["queued_messages"]) == (0, "OK", 2)
    assert re.fullmatch(UUID, body["request_id"])
    assert len(body["messages"]) == 2
    for entry, recipient in zip(body["messages"], ("bob@example.net", "eve@example.net"), strict=True):
        assert (entry["error_code"], entry["message"], entry["to"]) == (0, "OK", recipient)
        assert entry["request_id"] == body["request_id"]
        assert re.fullmatch(UUID + "@example.com", entry["message_id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["submitted_at"])


def test_accepted_messages_are_listed_as_submitted(qboxmail: Client) -> None:
    """/sandbox/messages: newest last, with ids, position and the submitted fields."""
    first, second = message(subject="one"), message(subject="two", headers={"X-Multi": ["a", "b"]})
    body = qboxmail.send(first, second).json()
    listed = qboxmail.messages()

    assert [entry["message"] for entry in listed] == [first, second]
    assert [entry["position"] for entry in listed] == [0, 1]
    assert [entry["message_id"] for entry in listed] == [entry["message_id"] for entry in body["messages"]]
    assert {entry["request_id"] for entry in listed} == {body["request_id"]}


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({}, 400, "missing_send_payload"),
        ({"messages": []}, 400, "missing_send_payload"),
        ({"messages": {}}, 400, "missing_send_payload"),
        ([], 400, "missing_send_payload"),
        (b"{", 400, "invalid_json"),
        ({"messages": [message(), message(subject=...)]}, 400, "invalid_message"),
        ({"messages": [message()] * 501}, 400, "too_many_messages"),
    ],
)
def test_refusal_has_the_documented_body(qboxmail: Client, body: Any, status: int, slug: str) -> None:
    """API page errors-retries: error_code, message, error, request_id; nothing of the request is accepted."""
    answer = qboxmail.post(body)
    (seen,) = qboxmail.requests()

    assert answer.status_code == status
    assert answer.json() == {
        "error_code": status,
        "message": answer.json()["message"],
        "error": slug,
        "request_id": seen["request_id"],
    }
    assert (seen["status"], seen["error"], seen["accepted"]) == (status, slug, False)
    assert qboxmail.messages() == []


def test_the_first_bad_message_is_named(qboxmail: Client) -> None:
    """A refusal says which message it is about, so that a test can tell; the text is assumed."""
    answer = qboxmail.send(message(), message(to=...), message(subject=...))

    assert answer.json()["message"].startswith("messages[1]: ")


def test_five_hundred_messages_fit(qboxmail: Client) -> None:
    """API page limits-quotas-suppression: up to 500."""
    assert qboxmail.send(*[message()] * 500).json()["queued_messages"] == 500


@pytest.mark.parametrize("token", ["wrong", "sandbox-send-token2", "sandbox-management-token"])
def test_only_the_send_token_opens(qboxmail: Client, token: str) -> None:
    """API page choose-api: the two kinds of token are not interchangeable."""
    answer = qboxmail.send(message(), token=token)

    assert answer.status_code == 401
    assert answer.json()["error_code"] == 401


def test_a_payload_over_the_limit_is_refused() -> None:
    """413 is assumed, the limit is documented; the client gets its answer although it sent everything."""
    with serving(max_payload_bytes=100_000) as qboxmail:
        answer = qboxmail.send(message(text_body="x" * 3_000_000))
        (seen,) = qboxmail.requests()

    assert answer.status_code == 413
    assert seen["bytes"] > 3_000_000


def test_half_a_request_is_not_accepted(qboxmail: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A client that dies while it sends has sent nothing; that is no error of the sandbox."""
    body = orjson.dumps({"messages": [message()]})
    head = f"POST /v1/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SEND_TOKEN}\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", qboxmail.port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
    while not (seen := qboxmail.requests()) or seen[0]["status"] is None:
        pass

    assert seen[0]["accepted"] is False
    assert qboxmail.messages() == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_requests_above_the_rate_are_told_to_wait(qboxmail: Client) -> None:
    """API page limits-quotas-suppression: 10 a second for a token, then 429, which may carry Retry-After."""
    answers = [qboxmail.send(message())]
    while answers[-1].status_code != 429:
        answers.append(qboxmail.send(message()))
    *taken, refused = answers

    assert len(taken) >= 10
    assert {answer.status_code for answer in taken} == {202}
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"] == "rate_limited"
    assert len(qboxmail.messages(limit=100_000)) == len(taken)


def test_each_token_has_its_own_rate(qboxmail: Client) -> None:
    """Another account is not held by the first one's requests."""
    while qboxmail.send(message()).status_code != 429:
        pass

    assert qboxmail.send(message(**{"from": "a@news.example"}), token="sandbox-send-token-newsletter").is_success


def test_the_quota_is_for_a_request_as_a_whole() -> None:
    """API page limits-quotas-suppression: when it does not suffice nothing is accepted; fewer messages may pass."""
    with serving(quota=3) as qboxmail:
        statuses = [qboxmail.send(*[message()] * count).status_code for count in (4, 2, 2, 1, 1)]
        (account,) = qboxmail.manage("accounts/1").json()["resources"]
        listed = qboxmail.messages()

    assert statuses == [429, 202, 429, 202, 429]
    assert len(listed) == 3
    assert (account["remaining_messages"], account["messages_sent"]) == (0, 3)


@pytest.mark.parametrize(
    "sender",
    [
        "a@not-verified.example",
        "a@disabled.example",
        "a@blocked.example",
        "a@unassigned.example",
        "a@news.example",
        "a@sub.example.com",
        "a@elsewhere.example",
    ],
)
def test_senders_need_an_enabled_domain_of_the_account(qboxmail: Client, sender: str) -> None:
    """API page delivery-setup asks for one; that 400 answers a breach is assumed."""
    answer = qboxmail.send(message(**{"from": sender}))

    assert (answer.status_code, answer.json()["error"]) == (400, "sender_domain")


@pytest.mark.parametrize("sender", ["a@example.com", "A <a@EXAMPLE.ORG>", "a@misconfigured.example"])
def test_active_domains_may_send(qboxmail: Client, sender: str) -> None:
    """API page getApiDeliveryDomains calls a misconfigured domain active."""
    assert qboxmail.send(message(**{"from": sender})).status_code == 202


def test_an_account_can_be_closed_and_bound_to_addresses(qboxmail: Client) -> None:
    """Account state and IP policy are documented in prose; 403 is assumed."""
    statuses = []
    for change in (
        {"enabled": False},
        {"enabled": True, "allow_nets": ["192.0.2.0/24"]},
        {"allow_nets": ["127.0.0.0/8"]},
    ):
        qboxmail.http.put("/sandbox/accounts/1", json=change).raise_for_status()
        statuses.append(qboxmail.send(message()).status_code)

    assert statuses == [403, 403, 202]


def test_an_account_can_be_added_while_running(qboxmail: Client) -> None:
    """A new account with its own token and domain."""
    qboxmail.http.put("/sandbox/accounts/7", json={"send_token": "seventh"}).raise_for_status()
    qboxmail.http.put("/sandbox/domains/seven.example", json={"accounts": [7]}).raise_for_status()

    assert qboxmail.send(message(**{"from": "a@seven.example"}), token="seventh").status_code == 202
    assert qboxmail.messages()[0]["account"] == 7


def test_suppressed_recipients_are_counted_before_queueing(qboxmail: Client) -> None:
    """API page limits-quotas-suppression: the pre-check is an estimate; the message is accepted all the same."""
    added = qboxmail.manage_post("suppression_lists", {"email": "Bob@example.net", "reason": "bounce"})
    summary = qboxmail.send(message(cc="eve@example.net")).json()["suppression_summary"]

    assert added.status_code == 204
    assert summary == {"status": "checked", "accepted_recipients": 1, "suppressed_recipients": 1}
    assert len(qboxmail.messages()) == 1


def test_the_inbox_forgets_the_oldest_and_keeps_counting() -> None:
    """Memory is bounded by a number of messages."""
    with serving(inbox_size=3) as qboxmail:
        qboxmail.send(*[message(subject=str(number)) for number in range(5)])
        kept = [entry["message"]["subject"] for entry in qboxmail.messages()]
        totals = qboxmail.http.get("/sandbox/totals").json()

    assert kept == ["2", "3", "4"]
    assert totals == {"accepted": 5, "remembered": 3, "requests": 1}
