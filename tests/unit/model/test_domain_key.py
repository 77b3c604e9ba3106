"""Spellings of one domain are equal, and nothing that comes as a domain breaks anything."""

import pytest

from qboxrelay.model.address import domain_key, is_dns_name


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Example.COM.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("\uff45xample.com", "example.com"),
        ("example\u3002com", "example.com"),
        ("example.com\u3002", "example.com"),
        ("bücher.example\uff0e", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
    ],
)
def test_spellings_of_one_domain_are_equal(written: str, key: str) -> None:
    """Case, A-labels and U-labels, full stops of other scripts, also at the end (UTS 46)."""
    assert domain_key(written) == key


@pytest.mark.parametrize(
    "written", ["", ".", "ü..de", "_dmarc.ü.de", "ü" * 300, "[192.0.2.1]", "a b.example", "xn--a.ü"]
)
def test_what_is_no_domain_stays_as_it_is(written: str) -> None:
    """It is equal to nothing that is known."""
    assert domain_key(written) == written.rstrip(".").lower()


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("example.com", True),
        ("_dmarc.xn--bcher-kva.example", True),
        ("localhost", True),
        (f"{'a' * 63}.example", True),
        (f"{'a' * 64}.example", False),
        (".".join(["a" * 49] * 5) + ".aaa", True),
        (".".join(["a" * 49] * 5) + ".aaaa", False),
        ("", False),
        ("a..b", False),
        ("-a.example", False),
        ("ann@example.com", False),
        ("http://example.com/", False),
        ("[192.0.2.1]", False),
        ("ü..de", False),
        ("a b.example", False),
        ("a\x1b[31m.example", False),
        ("example.com\n", False),
    ],
)
def test_what_can_be_a_name_in_dns(key: str, answer: bool) -> None:
    assert is_dns_name(key) is answer
