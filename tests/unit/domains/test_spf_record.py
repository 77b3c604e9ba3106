"""SPF records as text."""

import pytest

from qboxrelay.domains.spf_record import SpfError, asked_terms, parse_terms, spf_records
from qboxrelay.domains.tags import parse_tags


def names(record: str) -> list[str]:
    return [f"{term.name}:{term.target}" if term.target else term.name for term in parse_terms(record)]


def test_only_the_version_makes_a_record() -> None:
    """RFC 7208 §4.5: `v=spf10` is none."""
    values = ("v=spf1", "V=SPF1 -all", "v=spf10 -all", "spf2.0/pra", " v=spf1 -all")
    assert spf_records(values) == ["v=spf1", "V=SPF1 -all"]


def test_terms_in_order_up_to_all() -> None:
    """Nothing behind `all` is looked at, nor a redirect beside it; without it the redirect comes last."""
    assert names("v=spf1 a mx/24 ip4:192.0.2.0/24 ?all include:late.example") == [
        "a",
        "mx:/24",
        "ip4:192.0.2.0/24",
        "all",
    ]
    assert names("v=spf1 redirect=b.example -all a") == ["all"]
    assert names("v=spf1 redirect=B.example. a") == ["a", "redirect:b.example"]
    assert names("v=spf1 exp=explain.example moo=x a:%{d}.example") == [
        "exp:explain.example",
        "moo:x",
        "a:%{d}.example",
    ]


@pytest.mark.parametrize(
    "record",
    ["v=spf1 inklude:a", "v=spf1 include:", "v=spf1 exists", "v=spf1 ~", "v=spf1 redirect=a redirect=b", "v=spf1 1a"],
)
def test_what_receivers_cannot_use_is_said(record: str) -> None:
    """RFC 7208 §4.6: a syntax error anywhere spoils all of it."""
    with pytest.raises(SpfError):
        parse_terms(record)


def test_what_is_asked_for_leaves_the_end_to_the_owner() -> None:
    """`all` is the owner's choice, and what does not let send is not asked for."""
    asked = asked_terms("v=spf1 include:a.example ip4:192.0.2.1 -ip4:192.0.2.2 exp=x.example ~all")
    assert [(term.name, term.target) for term in asked] == [("include", "a.example"), ("ip4", "192.0.2.1")]
    assert asked_terms("v=spf1 nonsense") == []
    assert asked_terms("") == []


def test_macros_cannot_be_followed_without_a_mail() -> None:
    (term,) = parse_terms("v=spf1 include:%{i}.example")
    assert (term.policy, term.costs_lookup) == ("", True)


def test_tags_are_lenient_about_blanks() -> None:
    assert parse_tags(" v = DMARC1 ;P=none;; nothing ;p=reject") == {"v": "DMARC1", "p": "none"}
