"""Delivery domains and accounts in every shape that the documentation leaves open."""

from typing import Any

import pytest

from qboxrelay.model.sender_domain import DeliveryAccount, DeliveryDomain, DomainState, Listing
from qboxrelay.qboxmail.resources import linked, read_account, read_domain
from tests.contract.spool.harness import START

ACCOUNTS: list[dict[str, Any]] = [{"id": 1, "username": "box"}, {"id": "2", "username": "news"}]


def domain(**fields: Any) -> dict[str, Any]:
    return {"name": "example.com", "code": "DD1", "display_status": "enabled", **fields}


def assigned(domains: list[dict[str, Any]], accounts: list[dict[str, Any]], account: str) -> bool | None:
    """Whether example.com is the account's, as the listing tells it."""
    known = tuple(one for one in map(read_account, accounts) if one is not None)
    listing = Listing(fetched_at=START, domains=linked(domains, accounts), accounts=known)
    return listing.assigned(listing.domains["example.com"], account)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"display_status": "enabled"}, DomainState.ENABLED),
        ({"display_status": "Enabled", "dns_verification_status": "not_verified"}, DomainState.ENABLED),
        ({"display_status": "enabled", "approval_status": "need_approval"}, DomainState.ENABLED),
        ({"display_status": "not_verified"}, DomainState.NOT_VERIFIED),
        ({"display_status": "not_verified", "approval_status": "need_approval"}, DomainState.NEED_APPROVAL),
        ({"display_status": "misconfigured"}, DomainState.MISCONFIGURED),
        ({"display_status": "disabled", "approval_status": "need_approval"}, DomainState.DISABLED),
        ({"display_status": "blocked"}, DomainState.BLOCKED),
        ({"display_status": "string"}, DomainState.UNCLEAR),
        ({"display_status": None}, DomainState.UNCLEAR),
        ({"display_status": "pending", "dns_verification_status": "not_verified"}, DomainState.NOT_VERIFIED),
        ({"display_status": "pending", "approval_status": "need_approval"}, DomainState.NEED_APPROVAL),
        ({"display_status": 0, "status": 1}, DomainState.UNCLEAR),
    ],
)
def test_only_known_words_are_a_state(fields: dict[str, Any], state: DomainState) -> None:
    """What is enabled is usable, whatever else is said; a number's meaning is not documented."""
    found = read_domain(domain(**fields))
    assert found is not None
    assert found.state is state


def test_a_domain_without_a_name_is_none() -> None:
    assert read_domain({"code": "DD1"}) is None
    assert read_domain({"name": ["x"]}) is None
    assert read_account({"type": "transactional"}) is None


def test_a_name_with_letters_is_that_of_dns() -> None:
    """IDNA: however the API writes it, it is found by either spelling."""
    for name in ("Bücher.example", "xn--bcher-kva.example."):
        found = read_domain(domain(name=name))
        assert found is not None
        assert found.name == "xn--bcher-kva.example"


def test_secrets_of_an_account_stay_behind() -> None:
    """API page getApiDeliveryAccountsId: `password` is among the fields."""
    found = read_account(
        {"id": 1, "username": "box", "password": "hunter2", "status_detail": "ok", "type": "transactional"}
    )
    assert found == DeliveryAccount(id="1", username="box", state="ok", kind="transactional")


@pytest.mark.parametrize(
    "accounts", [[1], ["1"], ["box"], [{"id": 1}], [{"username": "box", "id": "1"}], "1", "box", {"id": 1}, 1]
)
def test_the_domain_names_its_accounts(accounts: object) -> None:
    """By id or username, alone or in objects."""
    resources = [domain(accounts=accounts)]
    assert assigned(resources, ACCOUNTS, "1") is True
    assert assigned(resources, ACCOUNTS, "box") is True
    assert assigned(resources, ACCOUNTS, "news") is False
    assert assigned(resources, ACCOUNTS, "") is True


@pytest.mark.parametrize(
    "domains", [["DD1"], ["example.com"], [{"code": "DD1"}], [{"name": "EXAMPLE.com"}], "example.com", "DD1"]
)
def test_the_account_names_its_domains(domains: object) -> None:
    """By code or name; where every account does, what none names is nobody's."""
    accounts = [{**ACCOUNTS[0], "domains": domains}, {**ACCOUNTS[1], "domains": []}]
    resources = [domain(), domain(name="other.example", code="DD2")]
    assert assigned(resources, accounts, "box") is True
    assert assigned(resources, accounts, "2") is False
    other = linked(resources, accounts)["other.example"]
    assert (other.accounts, other.accounts_complete) == (frozenset(), True)


@pytest.mark.parametrize(
    ("resource", "accounts", "account", "answer"),
    [
        # Nobody says anything.
        (domain(), ACCOUNTS, "box", None),
        (domain(), [], "", None),
        # The domain says that it has none.
        (domain(accounts=[]), ACCOUNTS, "box", False),
        (domain(accounts="", accounts_count="0"), ACCOUNTS, "", False),
        # It says that there are some, without naming them.
        (domain(accounts=[], accounts_count=2), ACCOUNTS, "box", None),
        (domain(accounts=None, accounts_count="2"), ACCOUNTS, "", None),
        # It names them by what nothing else is called: one of them may be ours.
        (domain(accounts=["AC77"]), ACCOUNTS, "box", None),
        (domain(accounts=["AC77"]), ACCOUNTS, "", True),
        (domain(accounts=["AC77"]), ACCOUNTS, "AC77", True),
        # It names fewer than it says that there are: the list was cut.
        (domain(accounts=[2], accounts_count=2), ACCOUNTS, "box", None),
        (domain(accounts=[2], accounts_count=2), ACCOUNTS, "news", True),
        (domain(accounts=[2, {"username": "news"}], accounts_count=1), ACCOUNTS, "box", False),
        # Ours is not among the accounts that the token sees.
        (domain(accounts=[2]), ACCOUNTS, "unseen", None),
        # One account is silent about its domains.
        (domain(), [{**ACCOUNTS[0], "domains": ["DD1"]}, ACCOUNTS[1]], "news", None),
        (domain(), [{**ACCOUNTS[0], "domains": ["DD1"]}, ACCOUNTS[1]], "box", True),
        # One account names fewer domains than it says that there are.
        (domain(), [{**ACCOUNTS[0], "domains": [], "domains_count": "1"}, {**ACCOUNTS[1], "domains": []}], "box", None),
        # One account has no name of its own.
        (domain(), [{"domains": ["DD1"]}, {**ACCOUNTS[1], "domains": []}], "news", None),
        # One account names a domain by what no domain is called.
        (domain(), [{**ACCOUNTS[0], "domains": ["4711"]}, {**ACCOUNTS[1], "domains": []}], "box", None),
    ],
)
def test_silence_is_not_a_no(
    resource: dict[str, Any], accounts: list[dict[str, Any]], account: str, answer: bool | None
) -> None:
    """Only what somebody said is held against a domain."""
    assert assigned([resource], accounts, account) is answer


def test_what_dns_shall_hold_is_read() -> None:
    found = read_domain(
        domain(
            cname_verification_records="tr._domainkey CNAME tr.provider.example",
            dkim_selector_tr="tr",
            dkim_selector_nl="",
            txt_spf_record="v=spf1 include:spf.provider.example ~all",
            suggested_dmarc_record="_dmarc TXT v=DMARC1; p=none",
            spf_last_check_ok=True,
            spf_last_checked_at=None,
        )
    )
    assert found == DeliveryDomain(
        name="example.com",
        state=DomainState.ENABLED,
        code="DD1",
        words={"display_status": "enabled", "spf_last_check_ok": "true"},
        records=(("tr._domainkey.example.com", "tr.provider.example"),),
        dkim_selectors=("tr",),
        spf="v=spf1 include:spf.provider.example ~all",
        dmarc="v=DMARC1; p=none",
    )
