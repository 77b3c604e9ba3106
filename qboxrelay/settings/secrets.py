"""Tokens and passwords: where they are, and reading them.

In: the key that names a file, the environment, the folder of the configuration. Out: a `Secret`, or the file to read again
when it changes. Never: a secret's text in an error.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from qboxrelay.settings.environment import TOKEN_PREFIX
from qboxrelay.settings.paths import located
from qboxrelay.settings.schema import AccountSettings
from qboxrelay.settings.types import Secret

TokenLocation = Path | Secret
"""A file, which is read again when it changes, or a fixed secret from the environment."""

_LARGEST = 64 * 1024


class SecretError(Exception):
    """A secret that cannot be used. `wrong` and `instead` are clauses for people."""

    def __init__(self, wrong: str, instead: str) -> None:
        super().__init__(f"{wrong}; {instead}")
        self.wrong = wrong
        self.instead = instead


def token_variable(account_name: str) -> str:
    """The variable that may hold an account's token: `QBOXRELAY_TOKEN_NEWS_LETTER` for `news-letter`."""
    return TOKEN_PREFIX + re.sub(r"[^A-Z0-9]", "_", account_name.upper())


def token_location(account: AccountSettings, environ: Mapping[str, str], config_dir: Path) -> TokenLocation:
    """Where an account's Send API token is; the environment goes before the file. Raises `SecretError` when nothing names one."""
    variable = token_variable(account.name)
    if variable in environ:
        return secret_from_text(environ[variable], where=variable)
    if account.token_file is None:
        raise SecretError(
            "has no token",
            f'write token_file = "file" with the path of a file that holds the Send API token, or set {variable}',
        )
    return located(account.token_file, environ, config_dir)


def read_secret(path: Path) -> Secret:
    """The secret that a file holds, without the line end behind it. Raises `SecretError`."""
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise SecretError(f"the file {path} {what}", "put the secret in it, on one line, or name another file")
        if path.stat().st_size > _LARGEST:
            raise SecretError(f"the file {path} is too large for a secret", "name the file that holds nothing else")
        text = path.read_bytes().decode("ascii")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SecretError(
            f"the file {path} cannot be read: {reason}", "let the user of the relay read it, or use LoadCredential="
        ) from None
    except UnicodeDecodeError:
        raise SecretError(f"the file {path} holds more than ASCII", "put the secret alone in it, on one line") from None
    return secret_from_text(text, where=f"the file {path}")


def secret_from_text(text: str, *, where: str) -> Secret:
    """A secret from the text that `where` held. Raises `SecretError` when no token looks like it."""
    bare = text.removesuffix("\n").removesuffix("\r")
    if not bare:
        raise SecretError(f"{where} is empty", "put the secret in it, on one line")
    if any(character.isspace() or not character.isprintable() for character in bare):
        raise SecretError(f"{where} holds white space or control characters", "put the secret alone in it, on one line")
    return Secret(bare)


def mode_warning(path: Path) -> str | None:
    """What to mend when a secret's file may be read by everybody on the machine; None when not, or when it cannot be told."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return None
    return f"the file {path} is open to every user of this machine (mode {mode:04o}): chmod 0600 {path}"
