"""Arguments of MAIL and RCPT."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.smtp.paths import PathError, read_path


@pytest.mark.parametrize(
    ("argument", "address", "parameters"),
    [
        ("FROM:<a@b.example>", "a@b.example", {}),
        ("from:<a@b.example> size=10 BODY=8BITMIME", "a@b.example", {"SIZE": "10", "BODY": "8BITMIME"}),
        ("FROM: <a@b.example>", "a@b.example", {}),
        ("FROM : <a@b.example>", "a@b.example", {}),
        ("FROM:a@b.example SIZE=1", "a@b.example", {"SIZE": "1"}),
        ("FROM:<@x.example:a@b.example>", "a@b.example", {}),
        ('FROM:<"a@b c"@b.example>', '"a@b c"@b.example', {}),
        (r'FROM:<"a\"b>c"@b.example>', r'"a\"b>c"@b.example', {}),
        ("FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]", {}),
        ("FROM:<a.@b.example>", "a.@b.example", {}),
        ("FROM:<a@b.example.>", "a@b.example.", {}),
        ("FROM:<jörg@bücher.example>", "jörg@bücher.example", {}),
        ("FROM:<under_score@my_host.example>", "under_score@my_host.example", {}),
        ("FROM:<a@b.example> AUTH=<>", "a@b.example", {"AUTH": "<>"}),
    ],
)
def test_what_is_taken(argument: str, address: str, parameters: dict[str, str]) -> None:
    """Strict where it matters, kind where devices err."""
    path = read_path("FROM", argument)

    assert str(path.address) == address
    assert path.parameters == parameters


def test_null_path() -> None:
    """`<>` is nobody (RFC 5321 §4.5.5)."""
    assert read_path("FROM", "FROM:<>").address is None


@pytest.mark.parametrize(
    "path",
    [
        "a", "a@", "@b.example", "a@b..example", "a@-b.example", "a b@c.example", "a@b.example c@d.example", "a@b@c.example",
        '"a@b.example', "a\rb@c.example", "a\nb@c.example", "a\x00b@c.example", "a\x7fb@c.example", "a\x85b@c.example", "a\udcffb@c.example",
        "a@b\udcff.example", "a,b@c.example", "a(b)@c.example", "x" * 300 + "@b.example", "a." * 500 + "(@b.example",
        "@x\x00y:a@b.example", "@x\ry:a@b.example", "a@" + "b." * 200 + "example",
    ],
)  # fmt: skip
def test_what_is_refused(path: str) -> None:
    """No control character, no second address, no half quote becomes an address."""
    with pytest.raises(PathError):
        read_path("TO", f"TO:<{path}>")


@pytest.mark.parametrize(
    "argument", [None, "", "FROM", "TO<a@b.example>", "FROM:", "FROM:<a@b.example", "FROM a@b.example"]
)
def test_what_is_no_path(argument: str | None) -> None:
    """Syntax errors are told apart from addresses that are not valid."""
    with pytest.raises(PathError, match="syntax"):
        read_path("TO", argument)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Whatever comes, what is taken prints on one line and has both halves."""
    try:
        path = read_path("TO", f"TO:<{text}>")
    except PathError:
        return
    if path.address is not None:
        assert path.address.local
        assert path.address.domain
        assert str(path.address).isprintable()
