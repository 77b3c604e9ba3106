"""What the keys of users and logins must be to each other and to the rest.

In: `Settings` whose every key is right by itself. Out: findings. Never: a look into files; `user_secrets` does that.
"""

from collections.abc import Iterator

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.schema import ListenerSettings, Settings, UserSettings

_MAX_NAME_OCTETS = 255


def user_findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule of `[[users]]` and of the listeners' `auth`; that names are there and differ is for `rules`."""
    accounts = [account.name for account in settings.accounts]
    for index, user in enumerate(settings.users):
        yield from _user(user, accounts, ("users", index))
    for index, listener in enumerate(settings.listeners):
        if listener.auth != "none":
            yield from _door(listener, settings, ("listeners", index))
    if not settings.logins.failure_window:
        yield Finding(("logins", "failure_window"), "must be longer than nothing")


def _user(user: UserSettings, accounts: list[str], path: tuple[str, int]) -> Iterator[Finding]:
    if user.name != user.name.strip() or not user.name.isprintable() or len(user.name.encode()) > _MAX_NAME_OCTETS:
        yield Finding(
            (*path, "name"), "is no name that a client could give", "write one line of text without blanks around it"
        )
    if user.password_hash is not None and user.password_hash_file is not None:
        yield Finding((*path, "password_hash_file"), "there is a password_hash, too", "keep one of the two")
    if not _has_password(user) and user.cram_md5_secret_file is None:
        yield Finding(
            path, "has no password", "write password_hash = with the line that `qboxrelay hash-password` prints"
        )
    if user.account and user.account not in accounts:
        yield Finding((*path, "account"), "no account has this name", f"there are: {', '.join(accounts)}")
    for place, pattern in enumerate(user.senders):
        if "@" not in pattern and pattern != "*":
            instead = f'write "*@{pattern}" for a domain, "{pattern}@*" for a name' if pattern else "remove it"
            yield Finding((*path, "senders", place), "matches no address, because it has no @", instead)


def _door(listener: ListenerSettings, settings: Settings, path: tuple[str, int]) -> Iterator[Finding]:
    if not settings.users:
        yield Finding((*path, "auth"), "nobody can log in, because there are no users", "add a [[users]] section")
    if not listener.auth_mechanisms:
        yield Finding((*path, "auth_mechanisms"), "nobody can log in without a mechanism", 'write ["PLAIN", "LOGIN"]')
    elif settings.users and all(_has_password(user) or user.cram_md5_secret_file for user in settings.users):
        yield from _useless_mechanisms(listener, settings.users, path)
    if listener.tls == "none" and not listener.auth_without_tls:
        yield Finding(
            (*path, "auth"),
            "nobody can log in, because passwords may not travel in clear text and this listener has no TLS",
            'write tls = "starttls" or "implicit"; or auth_without_tls = true, where nobody can listen in',
        )


def _useless_mechanisms(
    listener: ListenerSettings, users: tuple[UserSettings, ...], path: tuple[str, int]
) -> Iterator[Finding]:
    """A client picks a mechanism and gives up where that one fails: what nobody can use must not be offered."""
    for place, mechanism in enumerate(listener.auth_mechanisms):
        if mechanism == "CRAM-MD5" and all(user.cram_md5_secret_file is None for user in users):
            key = "cram_md5_secret_file"
        elif mechanism != "CRAM-MD5" and not any(map(_has_password, users)):
            key = "password_hash"
        else:
            continue
        wrong = f"nobody can log in with {mechanism}, because no user has a {key}"
        yield Finding((*path, "auth_mechanisms", place), wrong, "remove it, or give a user one")


def _has_password(user: UserSettings) -> bool:
    return user.password_hash is not None or user.password_hash_file is not None
