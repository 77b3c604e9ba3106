"""Every page, every shape, every way in which the Management API can fail."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from qboxrelay.model.sender_domain import DeliveryDomain, DomainState
from qboxrelay.qboxmail.token import FileToken
from tests.contract.management.harness import TOKEN, client, failed, listed
from tests.contract.sandbox.harness import Client
from tests.support.dns import free_port
from tests.support.processes import HOST

STATES = {
    "example.com": DomainState.ENABLED,
    "example.org": DomainState.ENABLED,
    "not-verified.example": DomainState.NOT_VERIFIED,
    "misconfigured.example": DomainState.MISCONFIGURED,
    "disabled.example": DomainState.DISABLED,
    "blocked.example": DomainState.BLOCKED,
    "need-approval.example": DomainState.NEED_APPROVAL,
    "unassigned.example": DomainState.ENABLED,
    "news.example": DomainState.ENABLED,
}


def url(qboxmail: Client) -> str:
    return f"http://{HOST}:{qboxmail.port}"


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("records", ["objects", "strings", "text"])
@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("shape", ["codes", "names", "objects", "string"])
def test_every_shape_tells_the_same(qboxmail: Client, shape: str, required: bool, records: str, text: bool) -> None:
    """What the documentation leaves open makes no difference: strings, lists, objects, everything as text."""
    qboxmail.switch(
        account_domains=shape,
        domain_accounts=shape,
        with_domains_required=required,
        dns_records=records,
        everything_is_text=text,
    )
    listing = listed(url(qboxmail))
    domains = listing.domains
    assert {name: domain.state for name, domain in domains.items()} == STATES
    assert {name for name, domain in domains.items() if listing.assigned(domain, "sandbox")} == STATES.keys() - {
        "unassigned.example",
        "news.example",
    }
    assert listing.assigned(domains["unassigned.example"], "") is False
    assert listing.assigned(domains["news.example"], "2") is True
    assert domains["example.com"].records == (
        ("tr._domainkey.example.com", "tr._domainkey.sandbox.example"),
        ("nl._domainkey.example.com", "nl._domainkey.sandbox.example"),
    )
    assert domains["example.com"].spf == "v=spf1 include:spf.sandbox.example ~all"
    assert [account.username for account in listing.accounts] == ["sandbox", "sandbox-news"]


def test_forty_pages(qboxmail: Client) -> None:
    """The API may give fewer a page than was asked for; none is missed, and none is taken for the last."""
    names = [f"page-{number}.example" for number in range(391)]
    qboxmail.switch(max_per=10)
    for name in names:
        qboxmail.http.put(f"/sandbox/domains/{name}", json={}).raise_for_status()
    listing = listed(url(qboxmail))
    assert len(qboxmail.requests(path="/api/delivery/domains")) == 40
    assert set(listing.domains) == {*STATES, *names}


@pytest.mark.parametrize("token", ["sandbox-send-token", "wrong"])
def test_a_token_of_the_wrong_kind_is_explained(qboxmail: Client, token: str) -> None:
    """The two kinds are not interchangeable; the words say so, and never what the token is."""
    failure = failed(url(qboxmail), token)
    assert failure.reason == "unauthorized"
    assert "Management API token of a Qboxmail user" in str(failure)
    assert "Send API token" in str(failure)
    assert token not in str(failure)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"action": "status", "status": 401, "body": {"message": "Unauthorized", "errors": []}}, "unauthorized"),
        ({"action": "status", "status": 403, "body": {"message": "no", "errors": []}}, "forbidden"),
        ({"action": "status", "status": 404, "body": "gone"}, "not_found"),
        ({"action": "status", "status": 422, "body": {"message": "Validation failed", "errors": []}}, "refused"),
        ({"action": "status", "status": 429, "body": ""}, "rate"),
        ({"action": "status", "status": 500, "body": "<html>"}, "server"),
        ({"action": "status", "status": 503}, "server"),
        ({"action": "status", "status": 302, "headers": {"Location": "/elsewhere"}}, "redirected"),
        ({"action": "status", "status": 200, "body": "<html>a portal</html>"}, "unreadable"),
        ({"action": "status", "status": 200, "body": {"resources": "none"}}, "unreadable"),
        ({"action": "status", "status": 200, "body": []}, "unreadable"),
        ({"action": "status", "status": 200, "body": {"resources": [{"code": 1}], "pagination": None}}, "unreadable"),
        ({"action": "status", "status": 200, "body": {"resources": [], "pagination": {"total_records": 3}}}, "incomplete"),
        (
            {"action": "status", "status": 200, "body": {"resources": {"name": "a.example"}, "pagination": {"total_records": "9"}}},
            "incomplete",
        ),
        ({"action": "status", "status": 200, "body": "x", "headers": {"content-encoding": "gzip"}}, "unreadable"),
        ({"action": "huge", "size": 30_000_000, "status": 200}, "unreadable"),
        ({"action": "gzip_bomb", "size": 60_000_000, "status": 200}, "unreadable"),
        ({"action": "drop"}, "connect"),
        ({"action": "half_answer", "accept": True}, "connect"),
        ({"action": "headers_only", "accept": True}, "connect"),
        ({"action": "hang"}, "timeout"),
    ],
    ids=str,
)  # fmt: skip
def test_every_failure_has_a_reason(qboxmail: Client, fault: dict[str, Any], reason: str) -> None:
    """A closed set of words; never half a listing."""
    qboxmail.fault(**fault, path="/api/delivery/domains")
    failure = failed(url(qboxmail), api_deadline="2s" if fault["action"] == "hang" else "30s")
    assert failure.reason == reason, failure
    assert TOKEN not in str(failure)


def test_a_page_that_fails_in_the_middle_is_no_listing(qboxmail: Client) -> None:
    """The domains of the other pages would look unknown."""
    qboxmail.switch(max_per=4)
    qboxmail.fault(action="status", status=500, path="/api/delivery/accounts")
    assert failed(url(qboxmail)).reason == "server"


def test_nobody_listens() -> None:
    failure = failed(f"http://{HOST}:{free_port()}")
    assert failure.reason == "connect"
    assert "cannot reach" in str(failure)


def test_a_token_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Said without a request."""
    assert failed(f"http://{HOST}:{free_port()}", FileToken(tmp_path / "gone")).reason == "token"


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b'{"message": "queued\\nfor you"}', "HTTP 200: queued for you"),
        (204, b"", "HTTP 204"),
        (200, b"<html>", "HTTP 200"),
    ],
)
def test_verifying_asks_by_the_configured_request(status: int, body: bytes, says: str) -> None:
    """The documentation names no path: only what is configured is asked for, with code and name in their places."""
    domain = DeliveryDomain(name="example.com", state=DomainState.NOT_VERIFIED, code="DD 1/2")

    async def verify(url: str) -> str:
        management = client(url, verify_path="/api/x/{code}/y/{name}", verify_method="PUT")
        try:
            return await management.verify(domain)
        finally:
            await management.close()

    with recording(status, body) as (base_url, asked):
        assert asyncio.run(verify(base_url)) == says
    assert asked == [("PUT", "/api/x/DD%201%2F2/y/example.com", TOKEN)]


@contextmanager
def recording(status: int, body: bytes) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A server that answers everything alike, and notes method, path and token."""
    asked: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.append((self.command, self.path, self.headers["X-Api-Token"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
