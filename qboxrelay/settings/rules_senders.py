"""What the keys of sender rules must be to each other and to the rest.

In: `Settings` whose every key is right by itself. Out: findings. Never: a rule that silently never acts.
"""

import re
from collections.abc import Iterator

from qboxrelay.model.address import domain_key
from qboxrelay.settings.finding import Finding
from qboxrelay.settings.schema import SenderSettings, Settings

ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[^\s@<>()\[\],;:\\\"]{1,255}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONDITIONS = ("networks", "users", "listeners", "envelope_from", "header_from")
_CHANGES = ("from_address", "from_name", "account", "priority")


def sender_findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule of `[[senders]]`; that names are there and differ is for `rules`."""
    for index, rule in enumerate(settings.senders):
        path = ("senders", index)
        yield from _texts(rule, path)
        yield from _patterns(rule, path)
        yield from _references(settings, rule, path)
        if rule.action == "refuse":
            for key in _CHANGES:
                if getattr(rule, key):
                    yield Finding(
                        (*path, key), "changes nothing, because the rule refuses the mail", "remove one of them"
                    )
        if index + 1 < len(settings.senders) and not any(getattr(rule, key) for key in _CONDITIONS):
            wrong = "has no condition, so that it decides about every mail, and no rule behind it ever acts"
            yield Finding(path, wrong, "put it last, or give it a condition")


def _texts(rule: SenderSettings, path: tuple[str, int]) -> Iterator[Finding]:
    if rule.from_address and not ADDRESS.fullmatch(rule.from_address):
        yield Finding(
            (*path, "from_address"), "is not an address", 'write the address alone, such as "noreply@example.com"'
        )
    for key in ("from_name", "refuse_text"):
        if _UNPRINTABLE.search(getattr(rule, key)):
            yield Finding((*path, key), "must be one line of text")
    if not rule.refuse_text.strip():
        yield Finding((*path, "refuse_text"), "must not be empty", "say what the sender shall do instead")


def _patterns(rule: SenderSettings, path: tuple[str, int]) -> Iterator[Finding]:
    for key in ("envelope_from", "header_from"):
        for place, pattern in enumerate(getattr(rule, key)):
            if not ("@" in pattern or "*" in pattern or pattern == "<>"):
                instead = (
                    f'write "*@{pattern}" for a domain, "{pattern}@*" for a name' if pattern else 'write "*" for any'
                )
                yield Finding((*path, key, place), "matches no address, because it has no @", instead)


def _references(settings: Settings, rule: SenderSettings, path: tuple[str, int]) -> Iterator[Finding]:
    accounts = [account.name for account in settings.accounts]
    listeners = [listener.name for listener in settings.listeners]
    if rule.account and rule.account not in accounts:
        yield Finding((*path, "account"), "no account has this name", f"there are: {', '.join(accounts)}")
    for place, name in enumerate(rule.listeners):
        if name not in listeners:
            yield Finding(
                (*path, "listeners", place), "no listener has this name", f"there are: {', '.join(listeners)}"
            )
    if rule.from_address and not rule.account and not is_served(rule.from_address, settings):
        yield Finding((*path, "from_address"), "no account sends for this domain", "add it to the domains of one")


def is_served(address: str, settings: Settings) -> bool:
    """Whether an account sends for the address by its domain."""
    domain = domain_key(address.rpartition("@")[2])
    return any(not account.domains or domain in map(domain_key, account.domains) for account in settings.accounts)
