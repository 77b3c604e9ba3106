"""As whom a user may send."""

import pytest

from qboxrelay.model.address import Address
from qboxrelay.model.reply import Refusal
from qboxrelay.policy.user_senders import UserSenders
from qboxrelay.settings.schema import UserSettings

RULES = UserSenders(
    [
        UserSettings(
            name="erp", senders=("app@example.org", "*@example.com", "*@*.example.net", "bounce+*@bücher.example")
        ),
        UserSettings(name="free"),
    ]
)


def address(text: str) -> Address:
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


@pytest.mark.parametrize(
    "sender",
    [
        "app@example.org", "APP@EXAMPLE.ORG", '"app"@example.org', "anybody@example.com", '"a@b"@example.com',
        "x@sub.example.net", "bounce+1@BÜCHER.example", "bounce+1@xn--bcher-kva.example", "app@example.org.",
    ],
)  # fmt: skip
def test_what_a_pattern_names_is_allowed(sender: str) -> None:
    """In every spelling that means the same mailbox, in MAIL FROM and in From."""
    RULES.check_sender("erp", address(sender))
    RULES.check_author("erp", address(sender))


@pytest.mark.parametrize(
    "sender",
    [
        "boss@example.org", "app@example.org.evil.example", "x@notexample.com", "app@sub.example.org", "x@example.net",
        '"x@example.com"@evil.example', "bounce@bücher.example",
    ],
)  # fmt: skip
def test_what_no_pattern_names_is_refused(sender: str) -> None:
    """With a reply that says what to do, and echoes nothing."""
    for check, code in ((RULES.check_sender, 553), (RULES.check_author, 550)):
        with pytest.raises(Refusal) as caught:
            check("erp", address(sender))
        assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, "5.7.1")
        assert caught.value.rule == "user_senders"
        assert sender not in str(caught.value.reply)


def test_who_is_not_bound() -> None:
    """A user without patterns, a client without a login, and the null sender, which notices come from."""
    RULES.check_sender("free", address("anybody@anywhere.example"))
    RULES.check_sender(None, address("anybody@anywhere.example"))
    RULES.check_sender("erp", None)
