"""Tokens: read when they change, never shown."""

import os
from pathlib import Path

import pytest

from qboxrelay.qboxmail.token import FileToken, FixedToken, TokenUnreadable, TokenWatch
from qboxrelay.settings.types import Secret


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    """A rotated token is used without a restart, also when it was replaced by a rename of the same size."""
    file = tmp_path / "token"
    file.write_text("one\n")
    token = FileToken(file)
    watch = TokenWatch(token)
    assert token.current() == Secret("one")
    assert not watch.changed()

    new = tmp_path / "new"
    new.write_text("two\n")
    os.utime(new, ns=(file.stat().st_mtime_ns, file.stat().st_mtime_ns))
    new.rename(file)

    assert token.current() == Secret("two")
    assert watch.changed()
    assert not watch.changed()


@pytest.mark.parametrize("content", [b"", b" \n", b"one\ntwo", b"one two", "zwölf".encode(), b"\xff\xfe", b"a\x00b"])
def test_what_cannot_be_a_token_is_not_shown(content: bytes, tmp_path: Path) -> None:
    """A file that holds no single header value is unreadable, and the error says why without its content."""
    file = tmp_path / "token"
    file.write_bytes(content)

    with pytest.raises(TokenUnreadable) as caught:
        FileToken(file).current()

    assert "one" not in str(caught.value).replace("one token", "")
    assert "zw" not in str(caught.value)


def test_missing_file_and_its_return(tmp_path: Path) -> None:
    """A missing file is temporary: unreadable now, a change when it is there."""
    token = FileToken(tmp_path / "token")
    watch = TokenWatch(token)
    with pytest.raises(TokenUnreadable):
        token.current()
    assert not watch.changed()

    (tmp_path / "token").write_text("here")

    assert watch.changed()


def test_fixed_token() -> None:
    """A token that was given as text is checked like one from a file, and never changes."""
    token = FixedToken(Secret("abc"))

    assert token.current().reveal() == "abc"
    assert not TokenWatch(token).changed()
    with pytest.raises(TokenUnreadable):
        FixedToken(Secret("a\nb")).current()
