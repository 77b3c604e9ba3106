"""/sandbox/faults: each misbehaviour, seen from the client, and what it means for acceptance."""

import gzip
import socket
import time
from typing import Any

import httpx
import pytest

from tests.contract.sandbox.harness import Client, message
from tests.support.processes import wait_until


def test_the_next_requests_meet_a_status(qboxmail: Client) -> None:
    """Status, body and headers as asked for, as often as asked for; nothing is accepted."""
    qboxmail.fault(action="status", status=429, body={"error": "slow"}, headers={"Retry-After": "7"}, count=2)
    answers = [qboxmail.send(message()) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 202]
    assert answers[0].json() == {"error": "slow"}
    assert answers[0].headers["retry-after"] == "7"
    assert [seen["fault"] for seen in qboxmail.requests()] == ["status", "status", None]
    assert len(qboxmail.messages()) == 1


@pytest.mark.parametrize(
    ("rule", "status", "body", "kind"),
    [
        ({"status": 503, "body": ""}, 503, b"", "application/json"),
        ({"status": 200, "body": "<html>log in</html>"}, 200, b"<html>log in</html>", "text/html"),
        ({"status": 202, "body": ""}, 202, b"", "application/json"),
        ({"status": 202, "body": "not JSON", "accept": True}, 202, b"not JSON", "application/json"),
        ({"status": 500, "body": "x", "headers": {"Content-Type": "text/plain"}}, 500, b"x", "text/plain"),
    ],
)
def test_any_answer_can_be_given(qboxmail: Client, rule: dict[str, Any], status: int, body: bytes, kind: str) -> None:
    """Also one that is not the API's; with `accept` the messages count as queued all the same."""
    qboxmail.fault(action="status", **rule)
    answer = qboxmail.send(message())

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (status, body, kind)
    assert len(qboxmail.messages()) == int(rule.get("accept", False))


def test_without_a_body_the_answer_is_an_error_of_the_api(qboxmail: Client) -> None:
    """In the documented form, 503 unless the rule says otherwise."""
    qboxmail.fault(action="status", count=1)
    qboxmail.fault(action="status", status=429)
    down, slow = qboxmail.send(message()), qboxmail.send(message())

    assert (down.status_code, down.json()["error_code"]) == (503, 503)
    assert (slow.status_code, slow.json()["error_code"]) == (429, 429)
    assert down.json()["request_id"] == qboxmail.requests()[0]["request_id"]


def test_an_accepted_answer_can_get_headers_of_its_own(qboxmail: Client) -> None:
    """A 202 with Retry-After is an acceptance."""
    qboxmail.fault(action="status", accept=True, headers={"Retry-After": "5"})
    answer = qboxmail.send(message())

    assert (answer.status_code, answer.json()["queued_messages"], answer.headers["retry-after"]) == (202, 1, "5")


def test_redirects_are_a_status_with_a_location(qboxmail: Client) -> None:
    """The client decides whether to follow."""
    qboxmail.fault(action="status", status=307, headers={"Location": "http://elsewhere.example/"})
    answer = qboxmail.send(message())

    assert (answer.status_code, answer.headers["location"]) == (307, "http://elsewhere.example/")


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("action", ["drop", "drop_after_body", "half_status", "headers_only", "half_answer"])
def test_connections_break(qboxmail: Client, action: str, accept: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets no answer; the ledger says whether the messages count as accepted. Before the body is read, they never do."""
    qboxmail.fault(action=action, accept=accept, count=1)
    with pytest.raises(httpx.TransportError):
        qboxmail.send(message())
    (seen,) = qboxmail.requests()
    accepted = accept and action != "drop"

    assert (seen["fault"], seen["status"], seen["accepted"]) == (action, None, accepted)
    assert len(qboxmail.messages()) == int(accepted)
    assert qboxmail.send(message()).status_code == 202
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    ("rule", "got"),
    [
        ({"action": "half_status"}, b"HTTP/1.1 20"),
        (
            {"action": "headers_only", "status": 202, "body": "0123456789"},
            b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 10\r\nconnection: close\r\n\r\n",
        ),
        (
            {"action": "half_answer", "status": 502, "body": "<0123456>"},
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 9\r\nconnection: close\r\n\r\n<012",
        ),
        (
            {"action": "early_status", "status": 413, "body": "{}"},
            (
                b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
                b"connection: close\r\n\r\n{}"
            ),
        ),
        (
            {"action": "drip", "status": 299, "body": "{}"},
            b"HTTP/1.1 299 \r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        ),
    ],
)
def test_bytes_on_the_wire(qboxmail: Client, rule: dict[str, Any], got: bytes) -> None:
    """Exactly as much of the answer as the fault lets through."""
    qboxmail.fault(**rule)

    assert qboxmail.raw(b"{}") == got


@pytest.mark.parametrize("action", ["drop", "drop_after_body"])
def test_a_drop_is_a_reset(qboxmail: Client, action: str) -> None:
    """Not an orderly end of the connection."""
    qboxmail.fault(action=action)
    with pytest.raises(ConnectionResetError):
        qboxmail.raw(b"{}")


def test_an_answer_can_come_before_the_body_was_read(qboxmail: Client) -> None:
    """The client may go on sending, and finds the answer afterwards."""
    qboxmail.fault(action="early_status", status=413, body="too much", count=1)
    answer = qboxmail.post(b" " * 10_000_000)
    (seen,) = qboxmail.requests()

    assert (answer.status_code, answer.text, answer.headers["connection"]) == (413, "too much", "close")
    assert (seen["bytes"], seen["accepted"]) == (0, False)
    assert qboxmail.send(message()).status_code == 202


@pytest.mark.parametrize("accept", [False, True])
def test_a_request_can_hang(qboxmail: Client, accept: bool, caplog: pytest.LogCaptureFixture) -> None:
    """No answer until the client gives up; then the sandbox lets go."""
    qboxmail.fault(action="hang", accept=accept, count=1)
    qboxmail.http.timeout = 0.3
    with pytest.raises(httpx.ReadTimeout):
        qboxmail.send(message())

    qboxmail.http.timeout = 60
    wait_until(lambda: len(qboxmail.requests()) == 1, what="the request that hung is in the ledger")
    assert len(qboxmail.messages()) == int(accept)
    assert qboxmail.send(message()).status_code == 202
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("accept", [False, True])
def test_an_answer_can_be_late(qboxmail: Client, accept: bool) -> None:
    """Both ways the messages are accepted; the wait is before or after that."""
    qboxmail.fault(action="delay", seconds=0.2, accept=accept, count=1)
    before = time.monotonic()
    answer = qboxmail.send(message())

    assert time.monotonic() - before > 0.15  # a timer may be a little early
    assert answer.status_code == 202
    assert len(qboxmail.messages()) == 1


def test_an_answer_can_drip(qboxmail: Client) -> None:
    """The whole 202, one byte at a time."""
    qboxmail.fault(action="drip", accept=True, seconds=0.001)

    assert qboxmail.send(message()).json()["queued_messages"] == 1


def test_bodies_can_be_huge(qboxmail: Client) -> None:
    """At least as large as asked for, plain or unpacked."""
    qboxmail.fault(action="huge", size=3_000_000, status=200, count=1)
    qboxmail.fault(action="gzip_bomb", size=3_000_000, status=202, count=1)
    plain = qboxmail.send(message())
    with qboxmail.http.stream("POST", "/v1/send", content=b"{}") as packed:
        compressed = b"".join(packed.iter_raw())

    assert (plain.status_code, len(plain.content) >= 3_000_000) == (200, True)
    assert packed.headers["content-encoding"] == "gzip"
    assert len(compressed) < 30_000
    assert len(gzip.decompress(compressed)) >= 3_000_000


def test_headers_can_be_endless(qboxmail: Client) -> None:
    """One field of the given size, never ended."""
    qboxmail.fault(action="huge_headers", size=1_000_000, status=202)
    got = qboxmail.raw(b"{}")

    assert len(got) >= 1_000_000
    assert got.endswith(b"0")


@pytest.mark.parametrize("rule", [{"action": "drip", "seconds": 0.01, "body": "x" * 1000}, {"action": "huge_headers"}])
def test_a_client_may_leave_in_the_middle(qboxmail: Client, rule: dict[str, Any]) -> None:
    """The sandbox stops sending, and answers the next one."""
    qboxmail.fault(count=1, **rule)
    with socket.create_connection(("127.0.0.1", qboxmail.port), timeout=60) as connection:
        connection.sendall(b"POST /v1/send HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert connection.recv(1)

    assert qboxmail.send(message()).status_code == 202


def test_only_requests_with_a_certain_message_are_hit(qboxmail: Client) -> None:
    """By part of a subject, or of a header's value."""
    qboxmail.fault(action="status", status=400, subject="poison")
    qboxmail.fault(action="status", status=422, header={"x-id": "42"})
    marked = message(headers={"X-Id": "a-42"})
    requests = ([message()], [message(), message(subject="the poison")], [marked], [message(headers={"X-Id": "7"})])

    assert [qboxmail.send(*messages).status_code for messages in requests] == [202, 400, 422, 202]


def test_only_one_account_is_hit(qboxmail: Client) -> None:
    """An account whose token is refused stands alone."""
    qboxmail.fault(action="status", status=401, account=1)
    news = message(**{"from": "a@news.example"})

    assert qboxmail.send(message()).status_code == 401
    assert qboxmail.send(news, token="sandbox-send-token-newsletter").status_code == 202


def test_a_share_is_repeatable(qboxmail: Client) -> None:
    """The same seed hits the same requests."""
    qboxmail.switch(rate_limit=False)
    runs = []
    for _ in range(2):
        qboxmail.http.delete("/sandbox/faults")
        qboxmail.fault(action="status", share=0.5, seed=3)
        runs.append([qboxmail.send(message()).status_code for _ in range(20)])

    assert runs[0] == runs[1]
    assert set(runs[0]) == {202, 503}


def test_a_batch_can_be_accepted_in_part(qboxmail: Client) -> None:
    """Refused entries carry their code and no message_id, and are not in the inbox."""
    qboxmail.fault(action="partial", refuse=[1], error_code=422)
    body = qboxmail.send(*[message(subject=str(number)) for number in range(3)]).json()
    (seen,) = qboxmail.requests()

    assert [entry["error_code"] for entry in body["messages"]] == [0, 422, 0]
    assert "message_id" not in body["messages"][1]
    assert body["queued_messages"] == 2
    assert [entry["message"]["subject"] for entry in qboxmail.messages()] == ["0", "2"]
    assert [entry["position"] for entry in qboxmail.messages()] == [0, 2]
    assert (seen["accepted"], seen["accepted_messages"]) == (True, 2)


def test_a_part_can_be_chosen_by_subject(qboxmail: Client) -> None:
    """Without positions, the messages that the rule matches are refused."""
    qboxmail.fault(action="partial", subject="bad")
    body = qboxmail.send(message(), message(subject="bad")).json()

    assert [entry["error_code"] for entry in body["messages"]] == [0, 400]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("reversed", ["c", "a"]),
        ("fewer", ["a"]),
        ("more", ["a", "c", "c"]),
        ("none", []),
        ("no_ids", [None, None]),
        ("one_per_recipient", ["a", "b", "c"]),
    ],
)
def test_entries_can_be_anything(qboxmail: Client, how: str, expected: list[str | None]) -> None:
    """The documentation promises neither one entry each nor their order."""
    qboxmail.fault(action="entries", how=how)
    body = qboxmail.send(message(to=["a@example.net", "b@example.net"]), message(to="c@example.net")).json()
    named = [entry["to"].partition("@")[0] if "to" in entry else None for entry in body["messages"]]

    assert named == expected
    assert len(qboxmail.messages()) == 2


def test_rules_are_shown_with_their_hits(qboxmail: Client) -> None:
    """And so is every action there is."""
    qboxmail.fault(action="status", count=5)
    qboxmail.send(message())
    shown = qboxmail.http.get("/sandbox/faults").json()

    assert [(rule["action"], rule["count"], rule["hits"]) for rule in shown["rules"]] == [("status", 5, 1)]
    assert "half_status" in shown["actions"]


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "explode"},
        {"count": 1},
        {"action": "hang", "howlong": 3},
        {"action": "status", "status": 99},
        "hang",
        7,
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(qboxmail: Client, rule: Any) -> None:
    """With what is wrong, and nothing is armed."""
    answer = qboxmail.http.post("/sandbox/faults", json=rule)

    assert answer.status_code == 422
    assert answer.json()["message"]
    assert qboxmail.http.get("/sandbox/faults").json()["rules"] == []
