"""What the keys of `[status]` must be to each other: never a page of mail addresses that is open to everybody.

In: `Settings` whose every key is right by itself. Out: findings. Never: a token's text in a finding.
"""

import re
from collections.abc import Iterator

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.hosts import is_loopback
from qboxrelay.settings.schema import Settings, StatusSettings
from qboxrelay.settings.secrets import SecretError, read_secret

_SECTION = "status"
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110 §5.1."""
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_SHORTEST = 20


def status_findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule."""
    chosen = settings.status
    address = chosen.address
    if address is not None and not is_loopback(address.host) and chosen.token_file is None and not chosen.user_header:
        yield Finding(
            (_SECTION, "address"),
            f"{address.host} can be reached from other machines, and anybody there could read the status page",
            'write token_file = "file" with a token for it, set user_header for a reverse proxy, or listen on loopback, such as "127.0.0.1:8025"',
        )
    yield from _proxies(chosen)
    for place, host in enumerate(chosen.hosts):
        if not _HOST_NAME.fullmatch(host):
            yield Finding(
                (_SECTION, "hosts", place), "is not a host name", 'write the name alone, such as "relay.example.com"'
            )


def status_token_findings(settings: Settings) -> Iterator[Finding]:
    """What keeps the token from being used; its file is in its place."""
    file = settings.status.token_file
    if file is None:
        return
    try:
        token = read_secret(file)
    except SecretError as error:
        yield Finding((_SECTION, "token_file"), error.wrong, error.instead)
        return
    if len(token.reveal()) < _SHORTEST:
        wrong = f"the file {file} holds fewer than {_SHORTEST} characters, which can be guessed"
        yield Finding((_SECTION, "token_file"), wrong, "make a token with `openssl rand -hex 24`")


def _proxies(chosen: StatusSettings) -> Iterator[Finding]:
    if chosen.user_header and not _FIELD_NAME.fullmatch(chosen.user_header):
        yield Finding((_SECTION, "user_header"), "is not the name of a header", 'for example "X-Forwarded-User"')
    if chosen.user_header and not chosen.trusted_proxies:
        yield Finding(
            (_SECTION, "user_header"), "nobody may set it", 'name the proxies: trusted_proxies = ["192.0.2.1"]'
        )
    if chosen.trusted_proxies and not chosen.user_header:
        yield Finding((_SECTION, "trusted_proxies"), "is not used", "write user_header, or leave it out")
    for place, network in enumerate(chosen.trusted_proxies):
        if network.prefixlen == 0:
            wrong = f"{network} is everybody, and anybody could name a user"
            yield Finding((_SECTION, "trusted_proxies", place), wrong, "name the addresses of your proxies")
