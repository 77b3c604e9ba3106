"""/sandbox/messages and /sandbox/requests: finding what arrived."""

from tests.contract.sandbox.harness import Client, message


def _subjects(qboxmail: Client, **query: str | int) -> list[str]:
    return [entry["message"]["subject"] for entry in qboxmail.messages(**query)]


def test_messages_can_be_picked(qboxmail: Client) -> None:
    """By number, count, recipient, subject and header."""
    qboxmail.send(
        message(subject="one", headers={"X-Qboxrelay-Id": "id-1"}),
        message(subject="two", cc={"address": "eve@example.net"}, headers={"x-qboxrelay-id": ["id-2"]}),
        message(subject="three", bcc="eve@example.net"),
    )
    number = qboxmail.messages()[0]["number"]

    assert _subjects(qboxmail, limit=2) == ["two", "three"]
    assert _subjects(qboxmail, limit=0) == []
    assert _subjects(qboxmail, since=number) == ["two", "three"]
    assert _subjects(qboxmail, to="eve@example.net") == ["two", "three"]
    assert _subjects(qboxmail, subject="t") == ["two", "three"]
    assert _subjects(qboxmail, header="X-Qboxrelay-Id") == ["one", "two"]
    assert _subjects(qboxmail, header="X-Qboxrelay-Id:id-2") == ["two"]


def test_attachments_come_as_submitted_or_without_their_content(qboxmail: Client) -> None:
    """The Base64 text is untouched; `content=0` leaves it out."""
    attachment = {"filename": "a.bin", "content_type": "application/octet-stream", "content": "AAEC/w=="}
    qboxmail.send(message(attachments=[attachment]))

    assert qboxmail.messages()[0]["message"]["attachments"] == [attachment]
    bare = {"filename": "a.bin", "content_type": "application/octet-stream"}
    assert qboxmail.messages(content=0)[0]["message"]["attachments"] == [bare]


def test_numbers_go_on_after_clearing(qboxmail: Client) -> None:
    """DELETE empties the list; a number never comes twice, so `since` stays right."""
    qboxmail.send(message())
    first = qboxmail.messages()[-1]["number"]
    qboxmail.http.delete("/sandbox/messages")
    emptied = qboxmail.messages()
    qboxmail.send(message())

    assert emptied == []
    assert [entry["number"] for entry in qboxmail.messages(since=first)] == [first + 1]
    assert qboxmail.http.get("/sandbox/totals").json()["accepted"] == 1


def test_requests_are_listed_with_what_became_of_them(qboxmail: Client) -> None:
    """Accepted and refused ones, newest last; those of the Management API only when asked for."""
    qboxmail.send(message(), message())
    qboxmail.send(message(), token="wrong")
    qboxmail.manage("domains")
    accepted, refused = qboxmail.requests()

    assert (accepted["status"], accepted["accepted"], accepted["messages"], accepted["accepted_messages"]) == (
        202,
        True,
        2,
        2,
    )
    assert (refused["status"], refused["accepted"], refused["account"]) == (401, False, None)
    assert accepted["bytes"] > 100
    assert accepted["connection"] == refused["connection"]
    assert [seen["path"] for seen in qboxmail.requests(path="/api/")] == ["/api/delivery/domains"]
    assert len(qboxmail.requests(path="/", limit=2)) == 2
    qboxmail.http.delete("/sandbox/requests")
    assert qboxmail.requests(path="/") == []
