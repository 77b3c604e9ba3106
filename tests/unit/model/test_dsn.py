"""What a client asked about notices, kept as text (RFC 3461)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.model.address import Address
from qboxrelay.model.dsn import Asked, from_xtext, read_asked, write_asked
from qboxrelay.model.envelope import Notify, Recipient
from qboxrelay.model.submission import NoticeKind

BOB = Address("bob", "example.net")


def test_nothing_asked_is_nothing_kept() -> None:
    """The usual case costs no text, and every recipient is told of."""
    assert write_asked(None, [Recipient(BOB)]) == ""
    assert read_asked("") == Asked()
    assert read_asked("").wants("bob@example.net", NoticeKind.FAILURE)
    assert read_asked("").wants("bob@example.net", NoticeKind.DELAY)


@pytest.mark.parametrize(
    ("notify", "failure", "delay"),
    [
        ({Notify.NEVER}, False, False),
        ({Notify.FAILURE}, True, False),
        ({Notify.DELAY}, False, True),
        ({Notify.SUCCESS}, False, False),
        ({Notify.SUCCESS, Notify.FAILURE, Notify.DELAY}, True, True),
    ],
)
def test_notify(notify: set[Notify], failure: bool, delay: bool) -> None:
    """RFC 3461 §4.1: who names anything hears of that alone."""
    asked = read_asked(write_asked(None, [Recipient(BOB, frozenset(notify))]))

    assert asked.wants("bob@example.net", NoticeKind.FAILURE) is failure
    assert asked.wants("bob@example.net", NoticeKind.DELAY) is delay
    assert asked.wants("eve@example.net", NoticeKind.FAILURE)


def test_envid_and_orcpt_come_back_decoded() -> None:
    """RFC 3461 §4: xtext."""
    asked = read_asked(write_asked("a+2Bb+3D", [Recipient(BOB, orcpt="rfc822;Bob+2Bx@example.org")]))

    assert (asked.envid, asked.orcpt) == ("a+b=", {"bob@example.net": "rfc822;Bob+x@example.org"})


@pytest.mark.parametrize("text", ["a\nb", "a+0Ab", "a+0D+0AX-Evil: 1", "ü", "x" * 501, "", None, "+7F"])
def test_what_could_break_a_field_is_dropped(text: str | None) -> None:
    """A client cannot write a line of its own into a notice."""
    assert from_xtext(text) == ""


@given(
    envid=st.none() | st.text(max_size=30),
    orcpt=st.none() | st.text(max_size=30),
    notify=st.sets(st.sampled_from(Notify)),
)
def test_any_text_is_read_back(envid: str | None, orcpt: str | None, notify: set[Notify]) -> None:
    """Whatever a client sent, what was written can be read, and is printable ASCII."""
    asked = read_asked(write_asked(envid, [Recipient(BOB, frozenset(notify), orcpt)]))

    assert (asked.envid + asked.orcpt.get("bob@example.net", "")).isascii()
    assert asked.notify.get("bob@example.net", frozenset()) == notify
