"""Addresses as the Send API takes them."""

from typing import Any

import pytest

from qboxrelay.sandbox.addresses import domain_of, read_addresses, read_mailbox


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@example.net", ["a@example.net"]),
        ("Ann <a@example.net>", ["a@example.net"]),
        ("<a@example.net>", ["a@example.net"]),
        ('"a \\" <b@x>, c" <a@example.net>', ["a@example.net"]),
        ("Dr. Jörg (Sales) <a@example.net> , b@example.net ", ["a@example.net", "b@example.net"]),
        ("=?utf-8?q?Zo=C3=AB?= <a@example.net>", ["a@example.net"]),
        ('"Doe, Ann" <a@example.net>, b@example.net', ["a@example.net", "b@example.net"]),
        ({"address": "a@example.net", "name": "Ann"}, ["a@example.net"]),
        ({"address": "a@example.net"}, ["a@example.net"]),
        (
            ["a@example.net, b@example.net", {"address": "c@example.net"}],
            ["a@example.net", "b@example.net", "c@example.net"],
        ),
        ('"odd one"@example.net', ['"odd one"@example.net']),
        ("FAX=+49123@gateway.example", ["FAX=+49123@gateway.example"]),
        ("root@localhost", ["root@localhost"]),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("jörg@straße.example", ["jörg@straße.example"]),
        ([], []),
    ],
)
def test_documented_forms(value: Any, expected: list[str]) -> None:
    """API page send: one string, a comma-separated string, an object, an array of both."""
    assert list(read_addresses(value) or ()) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nobody",
        "@example.net",
        "a@",
        "a b@example.net",
        "a@-example.net",
        "a@example..net",
        "a@example.net\r\nBcc: b@example.net",
        "<a@example.net",
        "a@example.net, nobody",
        "a@example.net,",
        "a@example.net\n",
        "a@example.net b@example.net",
        "Ann a@example.net",
        "a@b <a@example.net>",
        '"Ann <a@example.net>',
        f"{'a' * 250}@example.net",
        {"address": "nobody"},
        {"address": "a@example.net", "name": 7},
        {"name": "Ann"},
        ["a@example.net", 7],
        ["a@example.net", ["b@example.net"]],
        None,
        7,
    ],
)
def test_anything_else_is_no_address(value: Any) -> None:
    """None, not an exception."""
    assert read_addresses(value) is None
    assert read_mailbox(value) is None


def test_one_mailbox_is_neither_two_nor_a_list() -> None:
    """API page send: `from` is one mailbox, a string or an object."""
    assert read_mailbox("Ann <a@example.net>") == "a@example.net"
    assert read_mailbox({"address": "a@example.net"}) == "a@example.net"
    assert read_mailbox("a@example.net, b@example.net") is None
    assert read_mailbox(["a@example.net"]) is None


def test_unknown_fields_of_an_address_can_be_refused() -> None:
    """`address` and `name` are all that is documented."""
    value = {"address": "a@example.net", "group": "x"}

    assert read_addresses(value) == ("a@example.net",)
    assert read_addresses([value], unknown_fields=False) is None


def test_domains_are_compared_in_lower_case() -> None:
    """RFC 5321 §2.3.5: case does not matter in a domain."""
    assert domain_of('"a@b"@EXAMPLE.com') == "example.com"
