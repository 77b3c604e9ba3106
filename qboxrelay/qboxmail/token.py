"""Where an account's token comes from.

In: a file's path, or the text. Out: the token as it is now. Never: a token that prints.
"""

import hashlib
from pathlib import Path
from typing import Protocol

from qboxrelay.settings.types import Secret


class TokenSource(Protocol):
    """The token of one account."""

    def current(self) -> Secret:
        """The token now. Raises `TokenUnreadable`."""
        ...


class TokenUnreadable(Exception):  # noqa: N818 - a state of the machine, temporary for the mail
    """The token cannot be read now; the text says why, without the token."""


class FixedToken:
    """A token that does not change while the process lives."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def current(self) -> Secret:
        return _usable(self._token, "the token")


class FileToken:
    """A token in a file, read again when the file changes: a rotated token needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._token = Secret("")

    def current(self) -> Secret:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._token = Secret(self._path.read_text("utf-8").strip())
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            raise TokenUnreadable(f"cannot read the token file {self._path}: {error}") from error
        return _usable(self._token, f"the token file {self._path}")


class TokenWatch:
    """Tells whether a token is another one than when it was last asked."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._last = self._read()

    def changed(self) -> bool:
        token = self._read()
        changed = token is not None and token != self._last
        self._last = token
        return changed

    def _read(self) -> Secret | None:
        try:
            return self._source.current()
        except TokenUnreadable:
            return None


def digest_of(source: TokenSource) -> bytes:
    """What tells the token from others and does not tell the token; empty when it cannot be read."""
    try:
        token = source.current().reveal()
    except TokenUnreadable:
        return b""
    return hashlib.blake2b(token.encode(), digest_size=20, person=b"qboxrelay token").digest()


def _usable(token: Secret, origin: str) -> Secret:
    """A header value of visible ASCII (RFC 9110 §5.5). Checked here, because the HTTP library would quote a bad one in its error."""
    text = token.reveal()
    if not text:
        raise TokenUnreadable(f"{origin} is empty")
    if any(not "!" <= letter <= "~" for letter in text):
        raise TokenUnreadable(f"{origin} holds more than one token: blanks, line ends or letters outside ASCII")
    return token
