"""Delivery domains and accounts, read from the resources of the Management API (pages getApiDeliveryDomains, getApiDeliveryAccountsId).

In: decoded resources. Out: `DeliveryDomain`, `DeliveryAccount`. Never: an account's `password`, which stands among its fields; a state
that the API did not name.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qboxrelay.model.address import domain_key
from qboxrelay.model.sender_domain import DeliveryAccount, DeliveryDomain, DomainState
from qboxrelay.qboxmail.lenient import count_of, references, text_of, word_of
from qboxrelay.qboxmail.records import cname_records, dkim_selectors, policy_text

Resource = Mapping[str, Any]

_STATES = {
    state.value: state
    for state in (
        DomainState.ENABLED,
        DomainState.NOT_VERIFIED,
        DomainState.MISCONFIGURED,
        DomainState.DISABLED,
        DomainState.BLOCKED,
    )
}
_WORDS = (
    "display_status", "dns_verification_status", "approval_status", "status_detail",
    "dkim_last_checked_at", "dkim_last_check_ok", "dkim_tr_last_check_ok", "dkim_nl_last_check_ok",
    "spf_last_checked_at", "spf_last_check_ok",
)  # fmt: skip
_ACCOUNT_KEYS = ("id", "username")
_DOMAIN_KEYS = ("name", "code")


def read_domain(resource: Resource) -> DeliveryDomain | None:
    """None when it has no name. What accounts it is assigned to is known only beside them: see `linked`."""
    name = domain_key(text_of(resource.get("name")))
    if not name:
        return None
    return DeliveryDomain(
        name=name,
        state=_state(resource),
        code=text_of(resource.get("code")),
        words={field: text_of(resource.get(field)) for field in _WORDS if text_of(resource.get(field))},
        records=cname_records(resource.get("cname_verification_records"), name),
        dkim_selectors=dkim_selectors(resource.get("dkim_selector_tr"), resource.get("dkim_selector_nl")),
        spf=policy_text(resource.get("txt_spf_record"), "v=spf1"),
        dmarc=policy_text(resource.get("suggested_dmarc_record"), "v=dmarc1"),
    )


def read_account(resource: Resource) -> DeliveryAccount | None:
    """None when nothing names it."""
    account = DeliveryAccount(
        id=text_of(resource.get("id")),
        username=text_of(resource.get("username")),
        state=text_of(resource.get("status_detail")),
        kind=text_of(resource.get("type")),
    )
    return account if account.keys else None


def linked(domains: Sequence[Resource], accounts: Sequence[Resource]) -> dict[str, DeliveryDomain]:
    """Every domain by name, with its accounts: both sides may say who belongs to whom, and each of them may be silent."""
    claims = _Claims(accounts, domains)
    found: dict[str, DeliveryDomain] = {}
    for resource in domains:
        domain = read_domain(resource)
        # Of two with one name, which the API itself refuses, none hides the one that may send.
        if domain is not None and (domain.name not in found or domain.state is DomainState.ENABLED):
            found[domain.name] = claims.with_accounts(domain, _own_accounts(resource))
    return found


class _Claims:
    """What the accounts say about their domains."""

    def __init__(self, accounts: Sequence[Resource], domains: Sequence[Resource]) -> None:
        self._owner: dict[str, int] = {}
        """Places among the accounts by id and username."""
        self._by_reference: dict[str, set[str]] = {}
        names = {_folded(resource.get(key)): place for place, resource in enumerate(domains) for key in _DOMAIN_KEYS}
        self._complete = bool(accounts)
        for place, resource in enumerate(accounts):
            account, claimed = read_account(resource), references(resource.get("domains"), _DOMAIN_KEYS)
            if account is None:
                self._complete = False
                continue
            self._owner.update(dict.fromkeys(account.keys, place))
            folded = [_folded(one) for one in claimed or ()]
            if claimed is None or not _is_all(folded, names, resource.get("domains_count")):
                self._complete = False
            for one in folded:
                self._by_reference.setdefault(one, set()).update(account.keys)

    def with_accounts(self, domain: DeliveryDomain, own: tuple[frozenset[str] | None, object]) -> DeliveryDomain:
        """`own` is what the domain says about its accounts, and how many it says that there are."""
        named, count = own
        claimed = self._by_reference.get(domain.name, set()) | self._by_reference.get(_folded(domain.code), set())
        says_all = named is not None and _is_all(named, self._owner, count)
        return replace(domain, accounts=(named or frozenset()) | claimed, accounts_complete=says_all or self._complete)


def _is_all(named: Collection[str], known: Mapping[str, int], count: object) -> bool:
    """Whether what is named is known, and as much as is counted: a list may show the first few only."""
    announced = count_of(count)
    places = {known.get(one) for one in named}
    return None not in places and (announced is None or announced <= len(places))


def _own_accounts(resource: Resource) -> tuple[frozenset[str] | None, object]:
    """What the domain says about its accounts, None when that is nothing; and its count of them."""
    count = resource.get("accounts_count")
    own = references(resource.get("accounts"), _ACCOUNT_KEYS)
    return (frozenset[str]() if not own and count_of(count) == 0 else own), count


def _state(resource: Resource) -> DomainState:
    """That `display_status` uses the words of the documented filter is an inference; other words than those are not interpreted."""
    shown = _STATES.get(word_of(resource.get("display_status")))
    if shown is None and word_of(resource.get("dns_verification_status")) == DomainState.NOT_VERIFIED:
        shown = DomainState.NOT_VERIFIED
    # What is enabled is usable, whatever else is said of it: a need of approval explains only why a domain is not.
    waits = word_of(resource.get("approval_status")) == DomainState.NEED_APPROVAL
    if waits and shown in {None, DomainState.NOT_VERIFIED}:
        return DomainState.NEED_APPROVAL
    return shown or DomainState.UNCLEAR


def _folded(value: object) -> str:
    text = text_of(value)
    return domain_key(text) if "." in text else text.lower()
