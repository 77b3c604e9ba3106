"""Which account sends a message."""

import pytest

from qboxrelay.model.address import Address
from qboxrelay.model.reply import Refusal
from qboxrelay.policy.accounts import AccountRules
from qboxrelay.settings.schema import AccountSettings

NEWS = AccountSettings(name="news", domains=("news.example", "Bücher.example"))
REST = AccountSettings(name="rest")


@pytest.mark.parametrize(
    ("named", "domain", "expected"),
    [
        (None, "news.example", "news"),
        (None, "NEWS.example.", "news"),
        (None, "xn--bcher-kva.example", "news"),
        (None, "other.example", "rest"),
        (None, "sub.news.example", "rest"),
        ("news", "other.example", "news"),
        ("gone", "news.example", "news"),
    ],
)
def test_choice(named: str | None, domain: str, expected: str) -> None:
    """A name given by the door goes first, then the sender's domain in any spelling, then the account without domains."""
    assert AccountRules([NEWS, REST]).choose(named, Address("a", domain)).name == expected


def test_no_account_is_a_clear_refusal() -> None:
    """Without an account for the domain the mail is refused, with what to do."""
    with pytest.raises(Refusal) as refused:
        AccountRules([NEWS]).choose(None, Address("a", "other.example"))

    assert (refused.value.reply.code, refused.value.rule) == (550, "no_account")
    assert "other.example" in refused.value.reply.text
