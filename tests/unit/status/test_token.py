"""The token of the pages, as its file has it now."""

from pathlib import Path

from qboxrelay.settings.types import Secret
from qboxrelay.status.token import token_of_pages


def test_it_follows_its_file(tmp_path: Path) -> None:
    """A new one counts at once; while there is none, or one that is none, nobody is let in."""
    file = tmp_path / "token"
    current = token_of_pages(file)
    assert current() is None
    file.write_text("first-token\n")
    assert current() == Secret("first-token")
    file.unlink()
    assert current() is None
    file.write_text("the-second-token")
    assert current() == Secret("the-second-token")
    file.write_text("")
    assert current() is None
    file.write_text("two tokens in one")
    assert current() is None


def test_without_a_file_there_is_none() -> None:
    assert token_of_pages(None)() is None
