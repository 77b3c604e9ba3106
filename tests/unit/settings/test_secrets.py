"""Where tokens are, and reading them."""

import os
from pathlib import Path

import pytest

from qboxrelay.settings.schema import AccountSettings
from qboxrelay.settings.secrets import SecretError, mode_warning, read_secret, token_location, token_variable
from qboxrelay.settings.types import Secret


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("a-token\n")
    file.chmod(0o600)
    return file


def wrong(path: Path) -> str:
    with pytest.raises(SecretError) as caught:
        read_secret(path)
    return caught.value.wrong


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_line_end_is_left_out(token: Path, end: str) -> None:
    """An editor's line end behind the token is no part of it."""
    token.write_text(f"a-token{end}", newline="")

    assert read_secret(token) == Secret("a-token")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a-token\n\n", "holds white space or control characters"),
        (b" a-token", "holds white space or control characters"),
        (b"Bearer a-token", "holds white space or control characters"),
        (b"a\x00token", "holds white space or control characters"),
        ("tokén".encode(), "holds more than ASCII"),
        (b"x" * 70_000, "is too large for a secret"),
    ],
)
def test_text_that_is_no_token_is_refused(token: Path, content: bytes, reason: str) -> None:
    """What cannot stand in a header is told now and not by the API later; the text itself is not shown."""
    token.write_bytes(content)

    assert wrong(token) == f"the file {token} {reason}"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a directory and a pipe are told apart, and the pipe is not waited for."""
    os.mkfifo(tmp_path / "pipe")

    assert wrong(tmp_path / "nothing") == f"the file {tmp_path / 'nothing'} does not exist"
    assert wrong(tmp_path) == f"the file {tmp_path} is not a file"
    assert wrong(tmp_path / "pipe") == f"the file {tmp_path / 'pipe'} is not a file"


def test_file_that_cannot_be_read_is_refused() -> None:
    """The system's reason is passed on."""
    assert wrong(Path("/proc/self/mem")).startswith("the file /proc/self/mem cannot be read: ")


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o440, False), (0o640, False), (0o644, True), (0o602, True)]
)
def test_file_open_to_everybody_is_warned_of(token: Path, mode: int, *, warned: bool) -> None:
    """Group rights are how systemd and administrators share on purpose; the rest of the machine is not."""
    token.chmod(mode)

    warning = mode_warning(token)

    assert (warning is not None) == warned
    assert warning is None or f"chmod 0600 {token}" in warning


def test_mode_of_a_missing_file_is_no_warning(tmp_path: Path) -> None:
    """That it is missing is said elsewhere."""
    assert mode_warning(tmp_path / "nothing") is None


def test_environment_goes_before_the_file(token: Path, tmp_path: Path) -> None:
    """A container's variable is nearer than the file that came with the image."""
    account = AccountSettings(name="news-letter", token_file=token)

    assert token_variable("news-letter") == "QBOXRELAY_TOKEN_NEWS_LETTER"
    assert token_location(account, {"QBOXRELAY_TOKEN_NEWS_LETTER": "other\n"}, tmp_path) == Secret("other")
    assert token_location(account, {}, tmp_path) == token


def test_file_is_found_beside_the_configuration_or_among_the_credentials(token: Path, tmp_path: Path) -> None:
    """A bare name is a credential if there is one of that name; a path with folders never is."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    bare = AccountSettings(token_file=Path("token"))
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}

    assert token_location(bare, environ, tmp_path) == token
    (credentials / "token").write_text("b")
    assert token_location(bare, environ, tmp_path) == credentials / "token"
    assert token_location(AccountSettings(token_file=Path("./x/token")), environ, tmp_path) == tmp_path / "x/token"


def test_account_without_token_is_told_both_ways_to_give_one(tmp_path: Path) -> None:
    """The sentence names the key and the variable."""
    with pytest.raises(SecretError, match=r"token_file = .* or set QBOXRELAY_TOKEN_DEFAULT"):
        token_location(AccountSettings(), {}, tmp_path)


def test_error_does_not_show_the_secret(tmp_path: Path) -> None:
    """A token that is refused is still a token."""
    with pytest.raises(SecretError) as caught:
        token_location(AccountSettings(), {"QBOXRELAY_TOKEN_DEFAULT": "hunter2 hunter2"}, tmp_path)

    assert "hunter2" not in str(caught.value)
