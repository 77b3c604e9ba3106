"""Who is written down for an act."""

import os
import pwd

import pytest

from qboxrelay.cli.queue_work import operator

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    ("login", "written"), [(None, ME), ("", ME), (ME, ME), ("ann-of-sales", f"ann-of-sales as {ME}")]
)
def test_both_names_behind_sudo(login: str | None, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay's user alone would not say who it was."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    if login is not None:
        monkeypatch.setenv("SUDO_USER", login)
    assert operator() == written
