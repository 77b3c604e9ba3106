"""Sender rules: which one a mail matches, and what it asks for.

In: the `[[senders]]` settings, the client, the envelope sender, the author. Out: the first rule that matches, or None. Never: I/O, or a
change to a mail: `rewrite` makes it.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.envelope import Client
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.policy.patterns import Patterns, folded
from qboxrelay.settings.schema import SenderSettings

_NOBODY = "<>"
"""How patterns call the null sender, and the author of a mail that names none."""


class SenderRules:
    """The rules in the order of the configuration."""

    def __init__(self, settings: Sequence[SenderSettings]) -> None:
        self._rules = [_Rule(rule) for rule in settings]

    def first_match(self, client: Client, sender: Address | None, author: Mailbox | None) -> SenderSettings | None:
        """The first rule whose every condition holds. `author` is None when neither From nor the envelope names anybody.

        Raises `Refusal` when that rule refuses; its name is in the refusal's `rule`.
        """
        if not self._rules:
            return None
        envelope_from = _NOBODY if sender is None else folded(sender)
        header_from = _NOBODY if author is None else folded(author.address)
        for rule in self._rules:
            if rule.match(client, envelope_from, header_from):
                return _allowed(rule.settings)
        return None


class _Rule:
    """One rule, made ready for matching."""

    def __init__(self, settings: SenderSettings) -> None:
        self.settings = settings
        self._networks = settings.networks
        self._listeners = frozenset(settings.listeners)
        self._users = _patterns(settings.users)
        self._envelope_from = _patterns(settings.envelope_from)
        self._header_from = _patterns(settings.header_from)

    def match(self, client: Client, envelope_from: str, header_from: str) -> bool:
        return (
            (not self._listeners or client.listener in self._listeners)
            and (self._users is None or (client.user is not None and self._users.match(client.user)))
            and (self._envelope_from is None or self._envelope_from.match(envelope_from))
            and (self._header_from is None or self._header_from.match(header_from))
            and (not self._networks or self._is_near(client))
        )

    def _is_near(self, client: Client) -> bool:
        address = _ip_address(client.address)
        return address is not None and any(address in network for network in self._networks)


def _patterns(texts: Sequence[str]) -> Patterns | None:
    return Patterns(texts) if texts else None


def _allowed(rule: SenderSettings) -> SenderSettings:
    if rule.action == "refuse":
        raise Refusal(Reply(550, "5.7.1", rule.refuse_text), rule=f"sender_rule:{rule.name}")
    return rule


@lru_cache(maxsize=4096)
def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for what is no address, such as a client that was gone before it was asked for one."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket for both families shows IPv4 clients as ::ffff:192.0.2.1 (RFC 4291 §2.5.5.2).
    return getattr(address, "ipv4_mapped", None) or address
