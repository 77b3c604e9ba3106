"""What proves who a user is, read from where the configuration says.

In: the `[[users]]` settings, whose files are in their place. Out: `UserSecrets` by name, and what cannot be used. Never: a secret's text
in a finding.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from qboxrelay.settings.finding import Finding, KeyPath
from qboxrelay.settings.hosts import is_loopback
from qboxrelay.settings.password_hash import cost, parse_password_hash
from qboxrelay.settings.schema import ListenerSettings, Settings, UserSettings
from qboxrelay.settings.secrets import SecretError, mode_warning, read_secret
from qboxrelay.settings.types import Secret

_WEAK = "make a new one with `qboxrelay hash-password`"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSecrets:
    """An argon2 hash for PLAIN and LOGIN, a password in clear text for CRAM-MD5; a user has one of them or both."""

    password_hash: Secret | None = None
    cram_md5: Secret | None = None


NO_USERS: Mapping[str, UserSecrets] = MappingProxyType({})


def user_secrets(settings: Settings) -> tuple[dict[str, UserSecrets], list[Finding]]:
    """The secrets of every user, by name, without those that cannot be used: each of these is a finding."""
    broken: list[Finding] = []
    found = {user.name: _secrets(user, ("users", index), broken) for index, user in enumerate(settings.users)}
    return found, broken


def _secrets(user: UserSettings, path: KeyPath, broken: list[Finding]) -> UserSecrets:
    def read(key: str, reader: Callable[[Path], Secret]) -> Secret | None:
        file: Path | None = getattr(user, key)
        try:
            return reader(file) if file is not None else None
        except SecretError as error:
            broken.append(Finding((*path, key), error.wrong, error.instead))
            return None

    return UserSecrets(
        password_hash=user.password_hash or read("password_hash_file", _password_hash),
        cram_md5=read("cram_md5_secret_file", read_secret),
    )


def user_warnings(settings: Settings, secrets: Mapping[str, UserSecrets]) -> Iterator[str]:
    """What an administrator should mend about users, though they can log in."""
    for user in settings.users:
        password_hash = secrets[user.name].password_hash
        if password_hash is not None and cost(password_hash).is_weak:
            yield f"the password hash of the user {user.name} is cheap to guess from: {_WEAK}"
        yield from _modes(user)
    for listener in settings.listeners:
        if listener.auth != "none":
            yield from _door(listener, secrets)
    if settings.users and all(listener.auth == "none" for listener in settings.listeners):
        yield 'there are users, but no listener lets them log in: write auth = "optional" or "required" there'


def _door(listener: ListenerSettings, secrets: Mapping[str, UserSecrets]) -> Iterator[str]:
    for name, secret in secrets.items():
        usable = {"PLAIN", "LOGIN"} if secret.password_hash is not None else set()
        usable |= {"CRAM-MD5"} if secret.cram_md5 is not None else set()
        if usable.isdisjoint(listener.auth_mechanisms):
            offered = ", ".join(listener.auth_mechanisms)
            yield f"the user {name} cannot log in on the listener {listener.name}, which offers {offered} only"
    if listener.auth_without_tls and not is_loopback(listener.address.host):
        yield f"on the listener {listener.name} passwords may travel in clear text, and whoever is on their way can read them"


def _modes(user: UserSettings) -> Iterator[str]:
    for file in (user.password_hash_file, user.cram_md5_secret_file):
        if file is not None and (warning := mode_warning(file)):
            yield warning


def _password_hash(file: Path) -> Secret:
    try:
        parsed = parse_password_hash(read_secret(file))
    except ValueError as error:
        wrong, _, instead = str(error).partition("; ")
        raise SecretError(f"the file {file} holds a line that {wrong}", instead) from None
    assert parsed is not None
    return parsed
