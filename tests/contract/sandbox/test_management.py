"""The Delivery part of the Management API: shapes, filters, pages, faults."""

from typing import Any

import httpx
import pytest

from tests.contract.sandbox.harness import Client, message

DOMAIN_FIELDS = {
    *("name", "code", "created_at", "customer_code", "customer_fullname", "manager_code", "manager_fullname"),
    *("accounts_count", "accounts", "status", "display_status", "dns_verification_status", "approval_status"),
    *("status_detail", "dkim_last_checked_at", "dkim_last_check_ok", "dkim_tr_last_check_ok", "dkim_nl_last_check_ok"),
    *("spf_last_checked_at", "spf_last_check_ok", "dkim_selector_tr", "dkim_selector_nl"),
    *("cname_verification_records", "txt_spf_record", "suggested_dmarc_record"),
}
HEADERS = {"X-Api-Token": "sandbox-management-token"}
PAGINATION = {"per", "page", "total_pages", "query", "filter", "status", "sort_field", "sort", "total_records"}


def _names(answer: httpx.Response) -> list[str]:
    return [resource["name"] for resource in answer.json()["resources"]]


def test_domains_in_every_state(qboxmail: Client) -> None:
    """By default two that may send, and one in each other state."""
    body = qboxmail.manage("domains").json()
    states = {one["name"]: (one["display_status"], one["accounts_count"]) for one in body["resources"]}

    assert set(body) == {"resources", "pagination"}
    assert set(body["pagination"]) == PAGINATION
    assert all(set(one) == DOMAIN_FIELDS for one in body["resources"])
    assert states == {
        "example.com": ("enabled", 1),
        "example.org": ("enabled", 1),
        "not-verified.example": ("not_verified", 1),
        "misconfigured.example": ("misconfigured", 1),
        "disabled.example": ("disabled", 1),
        "blocked.example": ("blocked", 1),
        "need-approval.example": ("not_verified", 1),
        "unassigned.example": ("enabled", 0),
        "news.example": ("enabled", 1),
    }


@pytest.mark.parametrize("token", ["wrong", "sandbox-send-token"])
@pytest.mark.parametrize("path", ["domains", "accounts", "accounts/1", "suppression_lists", "tracemail/mailouts"])
def test_only_the_management_token_opens(qboxmail: Client, path: str, token: str) -> None:
    """API page errors-retries: 401, and an empty list of errors."""
    answer = qboxmail.http.get(f"/api/delivery/{path}", headers={"X-Api-Token": token})

    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized", "errors": []})


def test_domains_are_filtered_and_sorted(qboxmail: Client) -> None:
    """API page getApiDeliveryDomains: `status`, `query`, `sort_field`, `sort`."""
    assert _names(qboxmail.manage("domains", status="blocked")) == ["blocked.example"]
    assert _names(qboxmail.manage("domains", query="example.o")) == ["example.org"]
    assert _names(qboxmail.manage("domains", sort_field="name", sort="desc"))[0] == "unassigned.example"
    assert _names(qboxmail.manage("domains", sort_field="name", sort="none"))[0] == "example.com"


def test_pages(qboxmail: Client) -> None:
    """Every domain stands on exactly one page; a page after the last is empty."""
    pages = [qboxmail.manage("domains", page=number, per=2) for number in range(1, 7)]

    assert [len(page.json()["resources"]) for page in pages] == [2, 2, 2, 2, 1, 0]
    assert len({name for page in pages for name in _names(page)}) == 9
    assert pages[0].json()["pagination"] | {"total_pages": 5, "total_records": 9} == pages[0].json()["pagination"]


def test_the_page_size_has_a_cap(qboxmail: Client) -> None:
    """The cap is assumed; the answer says what was used."""
    qboxmail.switch(max_per=4)

    assert qboxmail.manage("domains", per=1000).json()["pagination"]["per"] == 4
    assert qboxmail.manage("domains", per="x").json()["pagination"]["per"] == 4


def test_accounts(qboxmail: Client) -> None:
    """The filters of API page getApiDeliveryAccounts, and one account by its id."""
    body = qboxmail.manage("accounts").json()
    (news,) = qboxmail.manage("accounts", type="newsletter").json()["resources"]

    assert [one["type"] for one in body["resources"]] == ["transactional", "newsletter"]
    assert qboxmail.manage("accounts/2").json()["resources"] == [news]
    assert qboxmail.manage("accounts", ids="2").json()["resources"] == [news]
    assert qboxmail.manage("accounts", status="disabled").json()["resources"] == []
    assert qboxmail.manage("accounts/99").json() == {"message": "Not found", "errors": []}
    assert "sandbox-send-token" not in qboxmail.manage("accounts").text


@pytest.mark.parametrize(
    ("shape", "domains", "accounts"),
    [
        ("codes", ["DD00000009"], [2]),
        ("names", ["news.example"], ["sandbox-news"]),
        ("objects", [{"code": "DD00000009", "name": "news.example"}], [{"id": 2, "username": "sandbox-news"}]),
        ("string", "news.example", "sandbox-news"),
    ],
)
def test_lists_within_resources_have_any_shape(qboxmail: Client, shape: str, domains: Any, accounts: Any) -> None:
    """Neither shape is documented."""
    qboxmail.switch(account_domains=shape, domain_accounts=shape)

    assert qboxmail.manage("accounts/2").json()["resources"][0]["domains"] == domains
    assert qboxmail.manage("domains", query="news").json()["resources"][0]["accounts"] == accounts


def test_everything_may_be_text(qboxmail: Client) -> None:
    """The reference's samples show strings where counts, dates, lists and booleans belong."""
    qboxmail.switch(everything_is_text=True, dns_records="text", account_domains="string")
    (domain,) = qboxmail.manage("domains", query="example.com").json()["resources"]
    (account,) = qboxmail.manage("accounts/1").json()["resources"]

    assert (domain["status"], domain["spf_last_check_ok"], domain["manager_code"]) == ("1", "true", "")
    assert domain["cname_verification_records"].startswith("tr._domainkey.example.com CNAME ")
    assert (account["id"], account["domains_count"], account["ignore_suppression_list"]) == ("1", "7", "false")


def test_domains_of_accounts_may_need_asking(qboxmail: Client) -> None:
    """Whether `with_domains` must be set is not documented."""
    qboxmail.switch(with_domains_required=True, dns_records="strings")

    assert all("domains" not in one for one in qboxmail.manage("accounts").json()["resources"])
    assert all("domains" in one for one in qboxmail.manage("accounts", with_domains="true").json()["resources"])
    assert len(qboxmail.manage("domains").json()["resources"][0]["cname_verification_records"]) == 2


def test_a_domain_changes_while_running(qboxmail: Client) -> None:
    """Verified, assigned, added, taken away."""
    put = qboxmail.http.put
    put("/sandbox/domains/not-verified.example", json={"display_status": "enabled"}).raise_for_status()
    added = put("/sandbox/domains/New.example", json={"accounts": [1, 2]}).json()
    statuses = [
        qboxmail.send(message(**{"from": f"a@{name}"})).status_code for name in ("not-verified.example", "new.example")
    ]

    assert statuses == [202, 202]
    assert added["code"] == "DD00000010"
    assert put("/sandbox/domains/x.example", json={"display_status": "odd"}).status_code == 422
    assert (
        put("/sandbox/domains/new.example", json={"code": "by hand", "name": "other"}).json()["name"] == "new.example"
    )
    assert put("/sandbox/domains/next.example", json={}).json()["code"] == "DD00000010"
    assert put("/sandbox/accounts/2", json={"id": 9}).json()["id"] == 2
    assert qboxmail.http.delete("/sandbox/domains/next.example").status_code == 204
    assert qboxmail.http.delete("/sandbox/domains/new.example").status_code == 204
    assert qboxmail.http.delete("/sandbox/domains/new.example").status_code == 404
    assert len(qboxmail.http.get("/sandbox/domains").json()) == 9
    assert [one["id"] for one in qboxmail.http.get("/sandbox/accounts").json()] == [1, 2]
    assert put("/sandbox/accounts/1", json={"remaining_messages": -1}).status_code == 422


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({"action": "status", "status": 500}, 500),
        ({"action": "status", "status": 200, "body": "<html>"}, 200),
        ({"action": "delay", "seconds": 0.01}, 200),
        ({"action": "drip", "accept": True}, 200),
    ],
)
def test_faults_reach_the_management_api(qboxmail: Client, rule: dict[str, Any], status: int) -> None:
    """When their `path` says so; the Send API is not hit then."""
    qboxmail.fault(path="/api/", **rule)

    assert qboxmail.manage("domains").status_code == status
    assert qboxmail.send(message()).status_code == 202


def test_connections_of_the_management_api_break(qboxmail: Client) -> None:
    """As those of the Send API do."""
    qboxmail.fault(path="/api/", action="drop")
    with pytest.raises(httpx.TransportError):
        qboxmail.manage("domains")

    assert [(seen["fault"], seen["status"]) for seen in qboxmail.requests(path="/api/")] == [("drop", None)]


def test_the_suppression_list(qboxmail: Client) -> None:
    """Added, listed with filters, looked up; a missing field is a 422 that names it."""
    for email, reason in (("a@example.net", "bounce"), ("b@example.net", "complaint")):
        assert qboxmail.manage_post("suppression_lists", {"email": email, "reason": reason}).status_code == 204
    found = qboxmail.manage("suppression_lists", reason="complaint").json()["resources"]
    details = qboxmail.manage_post("suppression_lists/details", {"email": "A@example.net"}).json()["resources"]
    invalid = qboxmail.manage_post("suppression_lists", {"email": "c@example.net", "reason": "dislike"})

    assert [one["email"] for one in found] == ["b@example.net"]
    assert [(one["email"], one["reason"], one["active"]) for one in details] == [("a@example.net", "bounce", True)]
    assert qboxmail.manage_post("suppression_lists/details", {"email": "c@example.net"}).json() == {"resources": []}
    assert qboxmail.manage("suppression_lists", status="disabled").json()["resources"] == []
    assert (invalid.status_code, invalid.json()["errors"][0]["field"]) == (422, "reason")
    assert qboxmail.manage_post("suppression_lists", {}).json()["errors"][0]["field"] == "email"
    assert qboxmail.manage_post("suppression_lists/details", []).status_code == 422
    assert qboxmail.http.post("/api/delivery/suppression_lists", content=b"{", headers=HEADERS).status_code == 422


def test_tracemail(qboxmail: Client) -> None:
    """Opaque rows, and counters in camelCase."""
    qboxmail.send(message(subject="first"), message(subject="second", to="eve@example.net"))
    rows = qboxmail.manage("tracemail/mailouts", subject="second").json()
    counters = qboxmail.manage("tracemail/counters").json()

    assert [set(row) for row in rows["resources"]] == [{"data"}]
    assert "eve@example.net" in rows["resources"][0]["data"]
    assert rows["pagination"]["per"] == 30
    assert (counters["all"], counters["delivered"], counters["authErrors"]) == (2, 2, 0)
    assert qboxmail.manage("tracemail/mailouts", status="bounce").json()["resources"] == []
    assert qboxmail.manage("tracemail/mailouts", collection="queued").json()["resources"] == []


def test_tracemail_finds_every_recipient_and_the_senders_domain(qboxmail: Client) -> None:
    """ASSUMED: the page says only that these filters are strings."""
    qboxmail.send(message(cc="carol@example.net"))
    for query, rows in (
        ({"to": "carol@"}, 1),
        ({"to": "nobody@"}, 0),
        ({"domain": "example.com"}, 1),
        ({"domain": "x.example"}, 0),
    ):
        assert len(qboxmail.manage("tracemail/mailouts", **query).json()["resources"]) == rows, query
