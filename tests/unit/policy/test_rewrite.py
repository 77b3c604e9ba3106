"""A mail in another name: From changes, the original stays visible where the rule says, all else is kept."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.message import Message
from qboxrelay.policy.rewrite import rewritten
from qboxrelay.settings.schema import SenderSettings

NEW = "noreply@example.com"
ROOT = Mailbox(Address("root", "web01"), "Cron Daemon")
ANN = Mailbox(Address("ann", "example.org"))
BOB = Mailbox(Address("bob", "example.net"), "Bob")


def rule(**keys: Any) -> SenderSettings:
    return SenderSettings.model_validate({"name": "rule", **keys})


def mailbox(text: str, name: str = "") -> Mailbox:
    local, _, domain = text.rpartition("@")
    return Mailbox(Address(local, domain), name)


@pytest.mark.parametrize(
    ("author", "keys", "name", "reply_to"),
    [
        (ROOT, {}, "Cron Daemon (root@web01)", ()),
        (mailbox("root@localhost"), {}, "root@localhost", ()),
        (ROOT, {"from_name": "Servers"}, "Servers (root@web01)", ()),
        (ROOT, {"keep_original": "no"}, "Cron Daemon", ()),
        (ROOT, {"keep_original": "no", "from_name": "Servers"}, "Servers", ()),
        (ANN, {"keep_original": "reply_to"}, "", (ANN,)),
        (ANN, {"keep_original": "reply_to", "from_name": "Shop"}, "Shop", (ANN,)),
        (ROOT, {"keep_original": "reply_to"}, "Cron Daemon (root@web01)", ()),
        (mailbox("scan@[192.0.2.9]"), {"keep_original": "reply_to"}, "scan@[192.0.2.9]", ()),
    ],
)
def test_original_stays_visible(
    author: Mailbox, keys: dict[str, Any], name: str, reply_to: tuple[Mailbox, ...]
) -> None:
    """In the name, or as Reply-To where somebody could reply to it, or nowhere."""
    changed = rewritten(Message(from_=author, text_body="x"), author, rule(from_address=NEW, **keys))

    assert changed.from_ == mailbox(NEW, name)
    assert changed.reply_to == reply_to
    assert [loss.rule for loss in changed.losses] == ["from_rewritten"]
    assert str(author.address) in changed.losses[0].what


def test_reply_to_of_the_mail_is_kept() -> None:
    """Who wants replies elsewhere has said so; the original is then inside the name, unless it is that Reply-To."""
    keep = rule(from_address=NEW, keep_original="reply_to")
    elsewhere = rewritten(Message(from_=ANN, reply_to=(BOB,)), ANN, keep)
    itself = rewritten(Message(from_=ANN, reply_to=(ANN,)), ANN, keep)

    assert (elsewhere.reply_to, elsewhere.from_) == ((BOB,), mailbox(NEW, "ann@example.org"))
    assert (itself.reply_to, itself.from_) == ((ANN,), mailbox(NEW))


def test_name_alone() -> None:
    """A rule may change the name and leave the address."""
    changed = rewritten(Message(from_=ROOT), ROOT, rule(from_name="Servers"))

    assert changed.from_ == Mailbox(ROOT.address, "Servers")
    assert changed.reply_to == ()


def test_nobody_becomes_somebody() -> None:
    """A mail that names no sender at all can be sent in the rule's name; a new name alone is no sender."""
    nobody = Message(text_body="x")

    assert rewritten(nobody, None, rule(from_address=NEW, from_name="Alarm")).from_ == mailbox(NEW, "Alarm")
    assert rewritten(nobody, None, rule(from_name="Alarm")) is nobody


def test_nothing_to_change_changes_nothing() -> None:
    """A rule that chooses an account only, or whose address is the mail's own, leaves no trace."""
    message = Message(from_=ANN)

    assert rewritten(message, ANN, rule(account="other")) is message
    assert rewritten(message, ANN, rule(from_address="ann@example.org")) is message


def test_sender_that_repeats_from_goes_with_it() -> None:
    """`Sender: root@web01` beside `From: root@web01` is no further loss; another Sender still is one."""
    same = Message(from_=ROOT, sender=Mailbox(ROOT.address))
    other = Message(from_=ROOT, sender=BOB)

    assert rewritten(same, ROOT, rule(from_address=NEW)).sender is None
    assert rewritten(other, ROOT, rule(from_address=NEW)).sender == BOB


mailboxes = st.builds(
    mailbox, st.sampled_from(["a@b", "a@b.example", "A@B.EXAMPLE", NEW]), st.sampled_from(["", "Ann"])
)


@given(
    author=mailboxes,
    sender=st.none() | mailboxes,
    reply_to=st.lists(mailboxes, max_size=2).map(tuple),
    keep=st.sampled_from(["name", "reply_to", "no"]),
    address=st.sampled_from(["", NEW]),
    name=st.sampled_from(["", "New"]),
)
def test_all_else_is_kept(
    author: Mailbox, sender: Mailbox | None, reply_to: tuple[Mailbox, ...], keep: str, address: str, name: str
) -> None:
    """Whatever a rule changes: only From, Sender and an empty Reply-To; and unless it says `no`, the original can still be seen."""
    before = Message(
        from_=author, sender=sender, reply_to=reply_to, to=(BOB,), subject="s", text_body="t", headers=(("X-A", "1"),)
    )
    after = rewritten(before, author, rule(from_address=address, from_name=name, keep_original=keep))

    assert after.from_ is not None
    assert after.from_.address == (mailbox(address).address if address else author.address)
    assert after.reply_to == reply_to or (reply_to == () and after.reply_to == (author,))
    assert replace(after, from_=author, sender=sender, reply_to=reply_to, losses=()) == before
    if keep != "no":
        seen = f"{after.from_.address} {after.from_.name} {after.reply_to}".casefold()
        assert str(author.address).casefold() in seen or any(
            one.address.folded_key == author.address.folded_key for one in after.reply_to
        )
