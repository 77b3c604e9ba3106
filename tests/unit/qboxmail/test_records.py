"""DNS records that the API asks for, known by what they look like."""

import pytest

from qboxrelay.qboxmail.records import cname_records, dkim_selectors, policy_text

PAIR = ("tr._domainkey.example.com", "tr._domainkey.provider.example")
OTHER = ("nl._domainkey.example.com", "nl.provider.example")


@pytest.mark.parametrize(
    "value",
    [
        [{"name": PAIR[0], "value": PAIR[1]}],
        [{"target": PAIR[1] + ".", "host": PAIR[0].upper(), "type": "CNAME", "ttl": 300}],
        {"name": PAIR[0], "value": PAIR[1]},
        {PAIR[0]: PAIR[1]},
        [{"host": "tr._domainkey", "points_to": PAIR[1]}],
        f"{PAIR[0]}. 300 IN CNAME {PAIR[1]}.",
        [f"{PAIR[0]} CNAME {PAIR[1]}"],
        f'"{PAIR[0]}" "{PAIR[1]}"',
        [[PAIR[0] + " " + PAIR[1]]],
        {"tr": {"name": PAIR[0], "value": PAIR[1]}},
    ],
)
def test_one_record_in_many_shapes(value: object) -> None:
    """No name of a member is relied on."""
    assert cname_records(value, "example.com") == (PAIR,)


@pytest.mark.parametrize(
    "value",
    [
        [{"name": PAIR[0], "value": PAIR[1]}, {"name": OTHER[0], "value": OTHER[1]}],
        f"{PAIR[0]} CNAME {PAIR[1]}\n{OTHER[0]} CNAME {OTHER[1]}",
        {PAIR[0]: PAIR[1], OTHER[0]: OTHER[1]},
        {"tr": {"name": PAIR[0], "value": PAIR[1]}, "nl": {"name": OTHER[0], "value": OTHER[1]}},
    ],
)
def test_several_records(value: object) -> None:
    assert set(cname_records(value, "example.com")) == {PAIR, OTHER}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        [],
        {},
        7,
        "string",
        [{"name": "x"}],
        "publish a b c",
        [None, 3],
        "one.example two.example three.example",
    ],
)
def test_what_is_no_record_is_left_out(value: object) -> None:
    """Better none than a guess."""
    assert cname_records(value, "example.com") == ()


def test_selectors_alone_or_as_names() -> None:
    assert dkim_selectors("tr", "NL._domainkey.example.com") == ("tr", "nl")
    assert dkim_selectors(None, ["a", "a", ""], {"selector": "not a selector"}) == ("a", "selector")


@pytest.mark.parametrize(
    "value",
    [
        "v=spf1 include:a.example ~all",
        '"v=spf1 include:a.example ~all"',
        "@ TXT v=spf1 include:a.example ~all",
        ["v=spf1 include:a.example ~all"],
    ],
)
def test_policy_begins_with_its_version(value: object) -> None:
    assert policy_text(value, "v=spf1") == "v=spf1 include:a.example ~all"


def test_no_policy_is_none() -> None:
    assert policy_text("string", "v=spf1") == ""
    assert policy_text(None, "v=spf1") == ""
