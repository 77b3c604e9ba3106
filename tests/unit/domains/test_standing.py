"""Where a domain stands, by listing and configuration."""

from datetime import timedelta
from typing import Any

import pytest

from qboxrelay.domains.keeping import from_bytes, to_bytes
from qboxrelay.domains.standing import Standing
from qboxrelay.model.sender_domain import DeliveryAccount, DeliveryDomain, DomainState, Listing, shown
from qboxrelay.settings.schema import SenderDomainSettings
from tests.contract.spool.harness import START

LISTING = Listing(
    fetched_at=START,
    domains={
        domain.name: domain
        for domain in (
            DeliveryDomain(
                name="example.com",
                state=DomainState.ENABLED,
                code="DD1",
                accounts=frozenset({"1", "box"}),
                accounts_complete=True,
                words={"display_status": "enabled"},
                records=(("a.example.com", "b.example"),),
                dkim_selectors=("tr",),
                spf="v=spf1 -all",
                dmarc="v=DMARC1; p=none",
            ),
            DeliveryDomain(name="xn--bcher-kva.example", state=DomainState.MISCONFIGURED),
            DeliveryDomain(name="blocked.example", state=DomainState.BLOCKED, accounts_complete=True),
            DeliveryDomain(name="nobodys.example", state=DomainState.ENABLED, accounts_complete=True),
        )
    },
    accounts=(DeliveryAccount(id="1", username="box", state="ok", kind="transactional"), DeliveryAccount(id="2")),
)


def state(
    domain: str,
    account: str = "",
    *,
    listing: Listing | None = LISTING,
    after: timedelta = timedelta(),
    **settings: Any,
) -> DomainState:
    standing = Standing(SenderDomainSettings.model_validate(settings), asks_api=True)
    return standing.of(domain, account, listing, START + after).state


@pytest.mark.parametrize(
    ("domain", "account", "expected"),
    [
        ("example.com", "", DomainState.ENABLED),
        ("EXAMPLE.com.", "box", DomainState.ENABLED),
        ("example.com", "2", DomainState.NOT_ASSIGNED),
        ("example.com", "unseen", DomainState.ENABLED),
        ("Bücher.example", "", DomainState.MISCONFIGURED),
        ("xn--bcher-kva.example", "", DomainState.MISCONFIGURED),
        ("blocked.example", "", DomainState.BLOCKED),
        ("nobodys.example", "", DomainState.NOT_ASSIGNED),
        ("mail.example.com", "", DomainState.NOT_LISTED),
        ("com", "", DomainState.NOT_LISTED),
        ("[192.0.2.1]", "", DomainState.NOT_LISTED),
    ],
)
def test_by_the_listing(domain: str, account: str, expected: DomainState) -> None:
    """IDNA both ways; an account that the token does not see is nothing against a domain; a block goes before an assignment."""
    assert state(domain, account) is expected


def test_subdomains_count_by_setting() -> None:
    """The nearest parent that is known decides, never a single label."""
    assert state("a.b.example.com", subdomains=True) is DomainState.ENABLED
    assert state("x.blocked.example", subdomains=True) is DomainState.BLOCKED
    assert state("x.unknown.example", subdomains=True) is DomainState.NOT_LISTED
    assert state("x.example.org", subdomains=True, domains=["org"]) is DomainState.NOT_LISTED


@pytest.mark.parametrize(
    "domain",
    ["a..example.com", "ü..example.com", f"{'a' * 64}.example.com", f"{'a.' * 130}example.com", "[x].example.com"],
)
def test_what_is_no_name_of_dns_is_no_subdomain(domain: str) -> None:
    """Nobody could reply to it, and the API would refuse it after the 250."""
    assert state(domain, subdomains=True) is DomainState.NOT_LISTED


def test_facts_grow_too_old() -> None:
    """Older than the limit they are none; what is configured does not age."""
    assert state("example.com", after=timedelta(hours=24)) is DomainState.ENABLED
    assert state("example.com", after=timedelta(hours=24, seconds=1)) is DomainState.NO_FACTS
    assert state("example.com", listing=None) is DomainState.NO_FACTS
    assert state("example.com", listing=None, domains=["example.com"]) is DomainState.ENABLED
    assert state("example.com", after=-timedelta(hours=1)) is DomainState.ENABLED


def test_without_the_api_the_configured_ones_are_all() -> None:
    standing = Standing(SenderDomainSettings(domains=("Bücher.example",)), asks_api=False)
    found = {name: standing.of(name, "", None, START).state for name in ("xn--bcher-kva.example", "example.com")}
    assert list(found.values()) == [DomainState.ENABLED, DomainState.NOT_LISTED]


def test_a_listing_is_kept_whole() -> None:
    assert from_bytes(to_bytes(LISTING)) == LISTING


@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"[]", b"{}", b'{"version": 2}', b'{"version": 1}', b"\xff", b'{"version":1,"fetched_at":"x"}'],
)
def test_what_cannot_be_read_is_asked_for_again(value: bytes) -> None:
    """Another version's, or damaged: no error, no listing."""
    assert from_bytes(value) is None


def test_people_see_letters_and_what_dns_sees() -> None:
    assert shown("xn--bcher-kva.example") == "bücher.example (xn--bcher-kva.example)"
    assert shown("example.com") == "example.com"
    assert shown("xn--\u2603.example") == "xn--\u2603.example"
