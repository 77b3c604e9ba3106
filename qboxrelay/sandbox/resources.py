"""Delivery domains and accounts as resources of the Management API (API pages getApiDeliveryDomains, getApiDeliveryAccountsId).

In: accounts, domains, switches. Out: the documented fields. Never: the Send token; the API shows it once, when it is made.
"""

from collections.abc import Collection
from typing import Any

from qboxrelay.sandbox.accounts import Account, Domain
from qboxrelay.sandbox.switches import Shape, Switches

_MADE_AT = "2026-01-01T00:00:00.000Z"
_CHECKED_AT = "2026-01-02T00:00:00.000Z"
_OWNER = {
    "customer_code": "CU00000001",
    "customer_fullname": "Sandbox",
    "manager_code": None,
    "manager_fullname": None,
}


def domain_resource(domain: Domain, accounts: Collection[Account], switches: Switches) -> dict[str, Any]:
    """All documented fields. Values beyond the documented samples are ASSUMED."""
    healthy = domain.display_status == "enabled"
    mine = [account for account in accounts if account.id in domain.accounts]
    fields: dict[str, Any] = {
        "name": domain.name,
        "code": domain.code,
        "created_at": _MADE_AT,
        **_OWNER,
        "accounts_count": len(mine),
        "accounts": _shaped([(a.id, a.username) for a in mine], ("id", "username"), switches.domain_accounts),
        "status": 0 if domain.display_status == "disabled" else 1,
        "display_status": domain.display_status,
        "dns_verification_status": "not_verified" if domain.display_status == "not_verified" else "verified",
        "approval_status": domain.approval_status,
        "status_detail": "ok" if healthy else domain.display_status,
        "dkim_last_checked_at": _CHECKED_AT,
        "dkim_last_check_ok": healthy,
        "dkim_tr_last_check_ok": healthy,
        "dkim_nl_last_check_ok": healthy,
        "spf_last_checked_at": _CHECKED_AT,
        "spf_last_check_ok": healthy,
        **_dns(domain, switches),
    }
    return _as_text(fields) if switches.everything_is_text else fields


def account_resource(
    account: Account, domains: Collection[Domain], switches: Switches, *, with_domains: bool
) -> dict[str, Any]:
    """The documented fields that say something here; money and dates of plans are left out."""
    mine = [domain for domain in domains if account.id in domain.accounts]
    fields: dict[str, Any] = {
        "id": account.id,
        "username": account.username,
        "description": f"Sandbox {account.type} account",
        "status": int(account.enabled),
        "status_detail": "ok" if account.enabled else "disabled",
        "type": account.type,
        "plan": "monthly",
        "created_at": _MADE_AT,
        "updated_at": _MADE_AT,
        **_OWNER,
        "domains_count": len(mine),
        "allow_nets": [str(net) for net in account.allow_nets],
        "remaining_messages": account.remaining_messages,
        "messages_sent": account.messages_sent,
        "ignore_suppression_list": account.ignore_suppression_list,
    }
    if with_domains or not switches.with_domains_required:
        fields["domains"] = _shaped([(d.code, d.name) for d in mine], ("code", "name"), switches.account_domains)
    return _as_text(fields) if switches.everything_is_text else fields


def _dns(domain: Domain, switches: Switches) -> dict[str, Any]:
    """What to publish. The names and values of real records are not documented: these are made up."""
    records = [
        {"name": f"{selector}._domainkey.{domain.name}", "value": f"{selector}._domainkey.sandbox.example"}
        for selector in ("tr", "nl")
    ]
    lines = [f"{record['name']} CNAME {record['value']}" for record in records]
    shapes = {"objects": records, "strings": lines, "text": "\n".join(lines)}
    return {
        "dkim_selector_tr": "tr",
        "dkim_selector_nl": "nl",
        "cname_verification_records": shapes[switches.dns_records],
        "txt_spf_record": "v=spf1 include:spf.sandbox.example ~all",
        "suggested_dmarc_record": "v=DMARC1; p=none",
    }


def _shaped(pairs: list[tuple[Any, str]], names: tuple[str, str], shape: Shape) -> object:
    """Pairs of code and name, as the switch wants them."""
    match shape:
        case "codes":
            return [code for code, _ in pairs]
        case "names":
            return [name for _, name in pairs]
        case "objects":
            return [dict(zip(names, pair, strict=True)) for pair in pairs]
        case "string":
            return ", ".join(name for _, name in pairs)


def _as_text(value: Any) -> Any:
    match value:
        case dict():
            return {name: _as_text(item) for name, item in value.items()}
        case list():
            return [_as_text(item) for item in value]
        case bool():
            return str(value).lower()
        case None:
            return ""
    return str(value)
