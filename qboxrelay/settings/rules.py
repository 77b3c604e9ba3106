"""What the keys of a configuration must be to each other.

In: `Settings` whose every key is right by itself. Out: findings. Never: a look at the machine; `verify` does that.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from qboxrelay.model.address import domain_key
from qboxrelay.settings.draft import as_far_as_known
from qboxrelay.settings.finding import Finding
from qboxrelay.settings.hosts import is_loopback
from qboxrelay.settings.rules_domains import domain_findings
from qboxrelay.settings.rules_listeners import listener_findings
from qboxrelay.settings.rules_notices import notice_findings
from qboxrelay.settings.rules_senders import sender_findings
from qboxrelay.settings.rules_spool import spool_findings
from qboxrelay.settings.rules_status import status_findings
from qboxrelay.settings.rules_tracing import tracing_findings
from qboxrelay.settings.rules_users import user_findings
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.secrets import token_variable
from qboxrelay.settings.toml import format_size, to_toml
from qboxrelay.settings.types import SocketAddress
from qboxrelay.settings.web_address import web_address_fault

_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - looked for, not bound
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_ABOVE_ZERO = ("request_deadline", "connect_timeout", "lease", "max_age", "account_pause")
_ROUND = 1_000_000


def findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule; of a `Draft` those that ask for nothing that is left out."""
    for rule in (
        _doors,
        _names,
        _accounts,
        _accounts_of_listeners,
        _base_urls,
        _sizes,
        _times,
        _relay,
        spool_findings,
        listener_findings,
        sender_findings,
        notice_findings,
        domain_findings,
        user_findings,
        tracing_findings,
        status_findings,
    ):
        yield from as_far_as_known(rule, settings)


def _doors(settings: Settings) -> Iterator[Finding]:
    if not settings.listeners:
        yield Finding(("listeners",), "no mail can come in without a listener", "add a [[listeners]] section")
    taken = [settings.status.address] if settings.status.address is not None else []
    for index, listener in enumerate(settings.listeners):
        if any(_collide(listener.address, other) for other in taken):
            wrong = f"{listener.address} is taken by another section"
            yield Finding(("listeners", index, "address"), wrong, "give each its own port")
        taken.append(listener.address)


def _collide(one: SocketAddress, other: SocketAddress) -> bool:
    if one.port != other.port or one.port == 0:
        return False
    same_family = (":" in one.host) == (":" in other.host)
    return one.host == other.host or (same_family and not _WILDCARDS.isdisjoint({one.host, other.host}))


def _names(settings: Settings) -> Iterator[Finding]:
    sections = {
        "listeners": [listener.name for listener in settings.listeners],
        "accounts": [account.name for account in settings.accounts],
        "senders": [rule.name for rule in settings.senders],
        "users": [user.name for user in settings.users],
    }
    for section, names in sections.items():
        for index, name in enumerate(names):
            if not name.strip():
                yield Finding((section, index, "name"), "must not be empty", "logs and metrics show it")
            elif name in names[:index]:
                yield Finding((section, index, "name"), f'"{name}" was given before', "give each its own name")
            elif section == "accounts" and token_variable(name) in map(token_variable, names[:index]):
                wrong = f"shares the variable {token_variable(name)} with another account"
                yield Finding((section, index, "name"), wrong, "let the names differ by more than case and punctuation")


def _accounts(settings: Settings) -> Iterator[Finding]:
    if not settings.accounts:
        yield Finding(("accounts",), "no mail can leave without an account", "add an [[accounts]] section")
    owners: dict[str, str] = {}
    for index, account in enumerate(settings.accounts):
        for place, domain in enumerate(account.domains):
            path = ("accounts", index, "domains", place)
            key = domain_key(domain)
            if not _HOST_NAME.fullmatch(key):
                yield Finding(path, "is not a domain", 'write the domain alone, such as "example.com"')
            elif key in owners:
                yield Finding(path, f'{domain} is already given to the account "{owners[key]}"', "keep one of the two")
            owners.setdefault(key, account.name)


def _accounts_of_listeners(settings: Settings) -> Iterator[Finding]:
    names = [account.name for account in settings.accounts]
    for index, listener in enumerate(settings.listeners):
        if listener.account and listener.account not in names:
            yield Finding(("listeners", index, "account"), "no account has this name", f"there are: {', '.join(names)}")


def _base_urls(settings: Settings) -> Iterator[Finding]:
    for index, account in enumerate(settings.accounts):
        if wrong := _url_fault(account.base_url):
            instead = 'write it as "https://api.example.com/v1"'
            yield Finding(("accounts", index, "base_url"), wrong, instead)
    if wrong := _url_fault(settings.sender_domains.base_url):
        yield Finding(("sender_domains", "base_url"), wrong, 'write it as "https://api.example.com"')


def _url_fault(url: str) -> str:
    if fault := web_address_fault(url):
        return fault
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return "the token would travel in clear text"
    return ""


def _sizes(settings: Settings) -> Iterator[Finding]:
    if not settings.accounts:
        return
    room = min(account.max_request_bytes for account in settings.accounts)
    for index, listener in enumerate(settings.listeners):
        # RFC 2045 §6.8: base64 makes four octets of three.
        if listener.max_message_bytes * 4 > room * 3:
            largest = room * 3 // 4
            shown = to_toml(format_size(largest - largest % _ROUND if largest > _ROUND else largest))
            yield Finding(
                ("listeners", index, "max_message_bytes"),
                f"such a message does not fit into a request of {format_size(room)}, because base64 makes it a third larger",
                f"write at most {shown}",
            )


def _times(settings: Settings) -> Iterator[Finding]:
    delivery = settings.delivery
    for name in _ABOVE_ZERO:
        if not getattr(delivery, name):
            yield Finding(("delivery", name), "must be longer than nothing")
    if delivery.lease <= delivery.request_deadline:
        yield Finding(
            ("delivery", "lease"),
            "must be longer than request_deadline, or a slow request is sent a second time",
            f"write at least {to_toml(delivery.request_deadline * 2)}",
        )
    if delivery.connect_timeout > delivery.request_deadline:
        yield Finding(
            ("delivery", "connect_timeout"),
            "must not be longer than request_deadline",
            "the deadline covers connecting",
        )
    if not delivery.retry_schedule or min(delivery.retry_schedule) < timedelta(seconds=1):
        yield Finding(
            ("delivery", "retry_schedule"),
            "must hold waits of a second or more",
            'for example retry_schedule = ["30s", "5m"]',
        )


def _relay(settings: Settings) -> Iterator[Finding]:
    name = settings.relay.name
    if name and not _HOST_NAME.fullmatch(name):
        yield Finding(("relay", "name"), "is not a host name", 'for example name = "relay.example.com"')
