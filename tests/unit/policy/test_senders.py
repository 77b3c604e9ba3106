"""Which sender rule a mail matches."""

from typing import Any

import pytest

from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.envelope import Client
from qboxrelay.model.reply import Refusal
from qboxrelay.policy.patterns import Patterns, folded
from qboxrelay.policy.senders import SenderRules
from qboxrelay.settings.schema import SenderSettings


def rules(*settings: dict[str, Any]) -> SenderRules:
    return SenderRules(
        [SenderSettings.model_validate({"name": str(number)} | each) for number, each in enumerate(settings)]
    )


def client(address: str = "192.0.2.7", *, user: str | None = None, listener: str = "smtp") -> Client:
    return Client(address=address, user=user, listener=listener)


def address(text: str) -> Address:
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


def matched(condition: dict[str, Any], who: Client, sender: str | None = "app@web01", from_: str | None = None) -> bool:
    author = Mailbox(address(from_)) if from_ else (Mailbox(address(sender)) if sender else None)
    return rules(condition).first_match(who, address(sender) if sender else None, author) is not None


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("root@*", "root@localhost", True),
        ("ROOT@LocalHost", "root@localhost", True),
        ("root@*", "ROOT@WEB01.example.com", True),
        ("root@*", "robot@localhost", False),
        ("root@web0?", "root@web01", True),
        ("root@web0?", "root@web0", False),
        ("*@example.com", "ann@sub.example.com", False),
        ("*@*.example.com", "ann@sub.example.com", True),
        ("*@example.com", "ann@example.com.evil.test", False),
        ("*@bücher.example", "ann@xn--bcher-kva.example", True),
        ("*@xn--bcher-kva.example", "ann@BÜCHER.example", True),
        ("*@*.bücher.example", "ann@a.xn--bcher-kva.example", True),
        ("www.data@*", "wwwxdata@web01", False),
        ("*@[192.0.2.*]", "root@[192.0.2.9]", True),
        ("*", "anybody@anywhere", True),
        ("**@**", "a@b", True),
        ("*a*b*@x*", "cacbbc@xx", True),
        ("*a*b*a@x", "cacbbc@x", False),
        ("zoë@*", "ZOË@example.com", True),
        ("a b@*", '"a b"@example.com', True),
    ],
)
def test_pattern(pattern: str, text: str, expected: bool) -> None:
    """`*` and `?` and nothing else; case, IDNA spelling and needless quotes do not matter."""
    assert Patterns([pattern]).match(folded(address(text))) is expected


def test_many_stars_are_matched_in_no_time() -> None:
    """A pattern cannot make matching a long address slow."""
    assert not Patterns(["*" * 200 + "@x", "*a" * 100 + "*@x"]).match("a" * 320)


@pytest.mark.parametrize(
    ("condition", "who", "expected"),
    [
        ({}, client(), True),
        ({"networks": ["192.0.2.0/24"]}, client(), True),
        ({"networks": ["198.51.100.0/24", "192.0.2.7"]}, client(), True),
        ({"networks": ["192.0.2.0/24"]}, client("198.51.100.1"), False),
        ({"networks": ["192.0.2.0/24"]}, client("::ffff:192.0.2.7"), True),
        ({"networks": ["2001:db8::/32"]}, client("2001:db8::1"), True),
        ({"networks": ["fe80::/10"]}, client("fe80::1%eth0"), True),
        ({"networks": ["0.0.0.0/0"]}, client("2001:db8::1"), False),
        ({"networks": ["0.0.0.0/0"]}, client(""), False),
        ({"users": ["erp"]}, client(user="ERP"), True),
        ({"users": ["erp-*"]}, client(user="erp-2"), True),
        ({"users": ["*"]}, client(), False),
        ({"listeners": ["smtp", "other"]}, client(), True),
        ({"listeners": ["other"]}, client(), False),
        ({"listeners": ["smtp"], "users": ["erp"]}, client(), False),
        ({"listeners": ["smtp"], "users": ["erp"]}, client(user="erp"), True),
    ],
)
def test_condition_on_the_client(condition: dict[str, Any], who: Client, expected: bool) -> None:
    """Every condition that is given must hold; within one, any of its values will do."""
    assert matched(condition, who) is expected


@pytest.mark.parametrize(
    ("condition", "sender", "from_", "expected"),
    [
        ({"envelope_from": ["app@*"]}, "app@web01", "ann@example.com", True),
        ({"envelope_from": ["ann@*"]}, "app@web01", "ann@example.com", False),
        ({"header_from": ["ann@*"]}, "app@web01", "ann@example.com", True),
        ({"header_from": ["app@*"]}, "app@web01", "ann@example.com", False),
        ({"header_from": ["app@*"]}, "app@web01", None, True),
        ({"envelope_from": ["<>"]}, None, "ann@example.com", True),
        ({"envelope_from": ["*@*"]}, None, "ann@example.com", False),
        ({"header_from": ["<>"]}, None, None, True),
        ({"header_from": ["*"]}, None, None, True),
        ({"header_from": ["*@*"]}, None, None, False),
    ],
)
def test_condition_on_the_sender(
    condition: dict[str, Any], sender: str | None, from_: str | None, expected: bool
) -> None:
    """The envelope's sender and the author are apart; who is not there is `<>`, and without From the envelope stands in."""
    assert matched(condition, client(), sender, from_) is expected


def test_first_match_decides() -> None:
    """Rules are tried in order, and one alone acts."""
    tried = rules({"header_from": ["ann@*"]}, {"listeners": ["smtp"], "action": "refuse"}, {"account": "other"})
    found = tried.first_match(client(), address("app@web01"), Mailbox(address("ann@example.com")))

    assert found is not None
    assert found.name == "0"
    with pytest.raises(Refusal):
        tried.first_match(client(), address("app@web01"), Mailbox(address("bob@example.com")))


def test_refusal_says_what_the_rule_says() -> None:
    """550 5.7.1 with the operator's words; the rule's name is the reason in logs and metrics."""
    tried = rules({"name": "no-newsletters", "action": "refuse", "refuse_text": "Send newsletters through the shop"})
    with pytest.raises(Refusal) as refused:
        tried.first_match(client(), None, None)

    assert str(refused.value.reply) == "550 5.7.1 Send newsletters through the shop"
    assert refused.value.rule == "sender_rule:no-newsletters"


def test_no_rules_match_nothing() -> None:
    """Without rules every mail is taken as it is."""
    assert rules().first_match(client(), None, None) is None
