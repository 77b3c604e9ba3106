"""Delivery domains, what DNS says about them, and what a mail from one of them meets.

In: what the Management API and DNS answered. Out: frozen values. Never: I/O, or a guess: what nobody said is None or `UNCLEAR`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import idna


class DomainState(StrEnum):
    """Where a sender domain stands. The first five are the words of the API's filter (API page getApiDeliveryDomains)."""

    ENABLED = "enabled"
    """Active and usable."""
    NOT_VERIFIED = "not_verified"
    """Its required records are not verified."""
    MISCONFIGURED = "misconfigured"
    """Active, but a live DNS check at Qboxmail fails now."""
    DISABLED = "disabled"
    BLOCKED = "blocked"
    """By policy or review."""
    NEED_APPROVAL = "need_approval"
    """Not verified, and somebody at Qboxmail has to approve it."""
    NOT_LISTED = "not_listed"
    """The Management token sees no such Delivery domain."""
    NOT_ASSIGNED = "not_assigned"
    """A Delivery domain, but not of the account that would send."""
    UNCLEAR = "unclear"
    """The API described it in words that this version does not know."""
    NO_FACTS = "no_facts"
    """The API was never asked, or too long ago."""


_ACTIVE = {DomainState.ENABLED, DomainState.MISCONFIGURED}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDomain:
    """One Delivery domain. `name` is a `domain_key`. `words` are the API's own, by field, as text for people."""

    name: str
    state: DomainState
    code: str = ""
    accounts: frozenset[str] = frozenset()
    """Ids and usernames of accounts that it is assigned to, as far as the API said."""
    accounts_complete: bool = False
    """Whether it is assigned to no others."""
    words: Mapping[str, str] = field(default_factory=dict)
    records: tuple[tuple[str, str], ...] = ()
    """CNAMEs to publish: (name, target), both `domain_key`s."""
    dkim_selectors: tuple[str, ...] = ()
    spf: str = ""
    """The SPF record that the API suggests; what it includes has to be included."""
    dmarc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAccount:
    """One Delivery account as the Management API names it. `keys` are all texts that may stand for it."""

    id: str
    username: str = ""
    state: str = ""
    kind: str = ""

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(filter(None, (self.id, self.username)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Every Delivery domain and account that a Management token sees, at one time."""

    fetched_at: datetime
    """Aware UTC."""
    domains: Mapping[str, DeliveryDomain] = field(default_factory=dict)
    """By name."""
    accounts: tuple[DeliveryAccount, ...] = ()

    def assigned(self, domain: DeliveryDomain, account: str) -> bool | None:
        """Whether the domain is the account's, which is named by id or username; empty is any. None when nobody can tell."""
        mine = next((known.keys for known in self.accounts if account in known.keys), frozenset({account}))
        found = not domain.accounts.isdisjoint(mine) if account else bool(domain.accounts)
        visible = not account or any(account in known.keys for known in self.accounts)
        return found or (False if domain.accounts_complete and visible else None)

    def state(self, domain: DeliveryDomain, account: str) -> DomainState:
        """Where it stands for the account, named as in `assigned`."""
        if domain.state in _ACTIVE and self.assigned(domain, account) is False:
            return DomainState.NOT_ASSIGNED
        return domain.state


class ManagementFailure(Exception):  # noqa: N818 - a state of the network or of the configuration, not an error of ours
    """The Management API gave no usable answer. `reason` is one of a closed set of words; the text says what to do."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class RecordVerdict(StrEnum):
    """What a look at one DNS record came to."""

    OK = "ok"
    WRONG = "wrong"
    MISSING = "missing"
    UNKNOWN = "unknown"
    """No answer in time, or a server that could not answer: says nothing about the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheck:
    """One record: what was expected, what was found, what to do. `kind` is one of cname, dkim, spf, dmarc, mx."""

    kind: str
    name: str
    verdict: RecordVerdict
    expected: str
    found: str = ""
    advice: str = ""
    """What to publish instead; empty when nothing is to be done."""
    required: bool = True
    """Whether the API asks for it; the others are good advice."""
    secure: bool | None = None
    """Whether the resolver validated the answer by DNSSEC; None when there was no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainReport:
    """What DNS says about one domain. `ttl` is how long it may be believed."""

    domain: str
    checked_at: datetime
    ttl: timedelta
    checks: tuple[RecordCheck, ...]

    @property
    def verdict(self) -> RecordVerdict:
        """Of what is required, the worst: one wrong record is certain, whatever else nobody knows."""
        found = {check.verdict for check in self.checks if check.required}
        worst = (RecordVerdict.WRONG, RecordVerdict.MISSING, RecordVerdict.UNKNOWN)
        return next((verdict for verdict in worst if verdict in found), RecordVerdict.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderFacts:
    """What is known of one sender domain when a mail from it comes in."""

    domain: str
    """As a `domain_key`."""
    state: DomainState
    delivery_domain: str = ""
    """The Delivery domain that it falls under: itself, or a parent where subdomains count; empty when there is none."""
    age: timedelta | None = None
    """Of what the Management API said; None when it said nothing."""
    report: DomainReport | None = None
    """What DNS says; None when it was not asked, or had not answered in time."""


def shown(domain: str) -> str:
    """A domain as people read it: with its letters, and as DNS writes it behind them where the two differ (RFC 5890 §2.3.2.1)."""
    if "xn--" not in domain:
        return domain
    try:
        return f"{idna.decode(domain)} ({domain})"
    except idna.IDNAError:
        return domain
