"""Address fields as they are written, and what is read from them."""

import pytest

from qboxrelay.mime.address import AddressList, decode_addresses, read_addresses


def _read(value: str) -> list[tuple[str, str]]:
    return [(mailbox.name, str(mailbox.address)) for mailbox in read_addresses(value).mailboxes]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a@b.example", [("", "a@b.example")]),
        ("Ann Doe <a@b.example>, c@d.example", [("Ann Doe", "a@b.example"), ("", "c@d.example")]),
        ('"Doe, Ann" <a@b.example>', [("Doe, Ann", "a@b.example")]),
        ('"Ann \\"Q\\" Doe" <a@b.example>', [('Ann "Q" Doe', "a@b.example")]),
        ("a@b.example (Ann Doe)", [("Ann Doe", "a@b.example")]),
        ("a@b.example (Ann (nested \\) note) Doe)", [("Ann (nested ) note) Doe", "a@b.example")]),
        ("<@route.example,@two.example:a@b.example>", [("", "a@b.example")]),
        ("Ann <a(his account)@b(his host).example>", [("Ann", "a@b.example")]),
        ('"a b"@c.example', [("", '"a b"@c.example')]),
        ("Ann <a@[192.0.2.1]>", [("Ann", "a@[192.0.2.1]")]),
        ("a @ b . example", [("", "a@b.example")]),
        ("Friends: a@b.example, Ann <c@d.example>;, e@f.example", [("", "a@b.example"), ("Ann", "c@d.example"), ("", "e@f.example")]),
        ("undisclosed-recipients:;", []),
        ("undisclosed-recipients: ;", []),
        ("=?utf-8?q?Zo=C3=AB_D?= <a@b.example>", [("Zoë D", "a@b.example")]),
        ("=?utf-8?q?Doe,_Ann?= <a@b.example>", [("Doe, Ann", "a@b.example")]),
        ('"=?utf-8?b?Wm/Dqw==?=" <a@b.example>', [("Zoë", "a@b.example")]),
        ("Zoë <zoë@bücher.example>", [("Zoë", "zoë@bücher.example")]),
        ("FAX=+49123@fax.example", [("", "FAX=+49123@fax.example")]),
    ],
)  # fmt: skip
def test_addresses_by_the_book(written: str, read: list[tuple[str, str]]) -> None:
    """RFC 5322 §3.4 with its obsolete forms, RFC 6854 groups, RFC 2047 names, RFC 6532 text."""
    assert _read(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a@b.example <a@b.example>", [("a@b.example", "a@b.example")]),
        ("Doe, Ann <a@b.example>", [("Doe, Ann", "a@b.example")]),
        ("Doe, Ann, Dr. <a@b.example>, c@d.example", [("Doe, Ann, Dr.", "a@b.example"), ("", "c@d.example")]),
        ("J. R. Doe <a@b.example>", [("J. R. Doe", "a@b.example")]),
        ("Ann Doe a@b.example", [("Ann Doe", "a@b.example")]),
        ("Ann <a@b.example", [("Ann", "a@b.example")]),
        ("a@b.example>", [("", "a@b.example")]),
        ("'a@b.example'", [("", "a@b.example")]),
        ("mailto:a@b.example", [("", "a@b.example")]),
        ("a@b.example; c@d.example", [("", "a@b.example"), ("", "c@d.example")]),
        ("=?utf-8?q?Ann_=3Ca=40b=2Eexample=3E?=", [("Ann", "a@b.example")]),
        ("Ann: a@b.example", [("", "a@b.example")]),
        ("Ann <> a@b.example", [("Ann", "a@b.example")]),
        ("Ann [work] <a@b.example>", [("Ann [work]", "a@b.example")]),
        ("DOMAIN\\ann <a@b.example>", [("DOMAIN\\ann", "a@b.example")]),
        ("a@b.example.", [("", "a@b.example")]),
        ("Ann ] a@b.example", [("Ann", "a@b.example")]),
        ("a@b.example:", [("", "a@b.example")]),
        ('"Ann <a@b.example>', []),
        ("Ann [SMTP:a@b.example]", [("Ann", "a@b.example")]),
        ("Ann <smtp:a@b.example>", [("Ann", "a@b.example")]),
        ("Ann [mailto:a@b.example]; c@d.example", [("Ann", "a@b.example"), ("", "c@d.example")]),
        (f"{'Doe, ' * 30}Ann <a@b.example>", [(f"{'Doe, ' * 9}Ann", "a@b.example")]),
        (f"{'x' * 20_000} <a@b.example>", [("x" * 10_000, "a@b.example")]),
    ],
)  # fmt: skip
def test_repairs_of_what_senders_write(written: str, read: list[tuple[str, str]]) -> None:
    """Missing quotes, brackets and separators."""
    assert _read(written) == read


@pytest.mark.parametrize(
    "written", ["", "root", "Ann <>", "<a b@c.example>", "@", "a@", "@b.example", "a@b..example", "(", '"']
)
def test_text_without_an_address_yields_none(written: str) -> None:
    """Nothing is guessed: no default domain, no blanks taken out of a local part."""
    assert _read(written) == []


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("=?utf-8?q?Zo=C3=AB?= <z@b.example>", "Zoë <z@b.example>"),
        ("=?utf-8?q?Doe=2C_Ann?= <a@b.example>, c@d.example", '"Doe, Ann" <a@b.example>, c@d.example'),
        ("=?utf-8?q?Ann_=22Q=22?= <a@b.example>", '"Ann \\"Q\\"" <a@b.example>'),
        ("=?utf-8?q?nobody?=", "nobody"),
        ("=?utf-8?q?Team?=: a@b.example;", "Team: a@b.example;"),
    ],
)
def test_address_fields_that_are_passed_on_stay_lists_of_the_same_mailboxes(written: str, text: str) -> None:
    """What an encoded word held is quoted where it would read as something else."""
    assert decode_addresses(written) == text


def test_groups_and_leftovers_are_told() -> None:
    """What cannot be expressed can be counted."""
    found = read_addresses("Team: a@b.example;, root, c@d.example e@f.example")

    assert found.groups == ("Team",)
    assert found.unusable == ("root", "e@f.example")


def test_an_application_s_own_address_is_remembered() -> None:
    """From is the same in every mail of an application; a long field is read anew each time."""
    assert read_addresses("Ann <a@b.example>") is read_addresses("Ann <a@b.example>")
    assert read_addresses(f"{'Ann ' * 100}<a@b.example>") is not read_addresses(f"{'Ann ' * 100}<a@b.example>")
    assert read_addresses("") == AddressList()


def test_a_hundred_thousand_open_comments_are_read_in_one_pass() -> None:
    """Nesting has a limit; what lies deeper is text."""
    assert _read("(" * 100_000 + "a@b.example") == []
