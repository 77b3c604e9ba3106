"""The provider's own list for going to production (API page delivery-setup), item by item, as far as the Management API shows it.

In: a listing, an account's facts, settings. Out: rows. Never: I/O; a yes that nobody said.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from qboxrelay.cli.doctor_row import Row, Verdict
from qboxrelay.model.sender_domain import DomainState, Listing

if TYPE_CHECKING:
    from qboxrelay.settings.schema import AccountSettings, Settings

Facts = Mapping[str, str]

_LIVE = {"ok", "enabled"}
_TRUE = {"true", "1", "yes"}
_ACTIVE = {DomainState.ENABLED, DomainState.MISCONFIGURED}
_PANEL = "in the Qboxmail panel, Delivery"


def going_live(
    account: "AccountSettings", listing: Listing, accounts: Sequence[Facts], tokens: Sequence[Facts] | None
) -> Iterator[Row]:
    """Of one account. `tokens` is None where the API did not list them."""
    group = f"Going to production, account {account.name}"
    mine = account.delivery_account
    facts = next((one for one in accounts if mine and mine in {one.get("id"), one.get("username")}), None)
    yield _verified(group, listing)
    yield _assigned(group, account, listing)
    if facts is None:
        advice = (
            f"no account {mine} is listed: correct delivery_account, or give the token's user the permission to see it"
            if mine
            else f"set delivery_account of this account to its id or username at Qboxmail; there are: {_names(accounts)}"
        )
        yield Row(group, "account", Verdict.UNKNOWN, "it is not known which one at Qboxmail this is", advice)
        return
    yield _enabled(group, facts)
    yield _type(group, account, facts)
    yield _allowed(group, facts, tokens)
    yield _bounces(group, facts)
    yield _suppression(group, facts)
    yield _quota(group, facts)


def monitoring(settings: "Settings") -> Row:
    """The last item is ours to offer, and the owner's to use."""
    group, address = "Going to production", settings.status.address
    if address is None:
        return Row(
            group,
            "monitoring",
            Verdict.WARN,
            "nobody can watch: [status] has no address",
            "set one, and point Prometheus at /metrics",
        )
    found = f"/metrics and /readyz are at {address}; whether anybody looks cannot be seen from here"
    return Row(
        group, "monitoring", Verdict.UNKNOWN, found, "load config/prometheus/alerts.yml, and read README, Watching it"
    )


def _verified(group: str, listing: Listing) -> Row:
    good = sorted(name for name, domain in listing.domains.items() if domain.state in _ACTIVE)
    if good:
        return Row(group, "Delivery domain verified", Verdict.OK, _some(good))
    return Row(
        group,
        "Delivery domain verified",
        Verdict.FAIL,
        "none is",
        "publish the DNS records of one, and verify it: qboxrelay domains check",
    )


def _assigned(group: str, account: "AccountSettings", listing: Listing) -> Row:
    title, active = "sender domain assigned", [one for one in listing.domains.values() if one.state in _ACTIVE]
    said = {one.name: listing.assigned(one, account.delivery_account) for one in active}
    mine = sorted(name for name, yes in said.items() if yes)
    if mine:
        return Row(group, title, Verdict.OK, _some(mine))
    if any(yes is None for yes in said.values()):
        return Row(
            group, title, Verdict.UNKNOWN, "the API does not say which domains are this account's", f"look {_PANEL}"
        )
    return Row(
        group, title, Verdict.FAIL, "no verified domain is assigned to this account", f"assign one {_PANEL}, Accounts"
    )


def _enabled(group: str, facts: Facts) -> Row:
    state = facts.get("status_detail", "").lower()
    if state in _LIVE:
        return Row(group, "account enabled", Verdict.OK, state)
    if not state:
        return Row(group, "account enabled", Verdict.UNKNOWN, "the API does not say", f"look {_PANEL}, Accounts")
    return Row(
        group,
        "account enabled",
        Verdict.FAIL,
        state,
        f"enable it {_PANEL}, Accounts; it may wait for payment or review",
    )


def _type(group: str, account: "AccountSettings", facts: Facts) -> Row:
    kind = facts.get("type", "").lower()
    if not kind:
        return Row(group, "account type", Verdict.UNKNOWN, "the API does not say", f"look {_PANEL}, Accounts")
    if kind == account.type or {kind, account.type} == {"promotional", "newsletter"}:
        return Row(group, "account type", Verdict.OK, f"{kind}, as configured: is it what this mail is?")
    advice = "use a transactional account for mail that somebody asked for, a newsletter account for the rest; correct type in [[accounts]]"
    return Row(group, "account type", Verdict.FAIL, f"{kind} at Qboxmail, {account.type} in the configuration", advice)


def _allowed(group: str, facts: Facts, tokens: Sequence[Facts] | None) -> Row:
    title = "IP allow-lists"
    parts = [f"account: {facts['allow_nets']}"] if facts.get("allow_nets") else []
    if tokens is None:
        parts.append("those of the tokens are not shown")
    parts += [
        f"token {one.get('label') or one.get('token_preview', '')}: {one['allow_nets']}"
        for one in tokens or ()
        if one.get("allow_nets")
    ]
    if any(not part.startswith("those") for part in parts):
        return Row(group, title, Verdict.OK, f"{'; '.join(parts)}: is this machine among them?")
    if tokens is None:
        return Row(group, title, Verdict.UNKNOWN, "; ".join(parts), f"look {_PANEL}, Accounts, API tokens")
    return Row(
        group,
        title,
        Verdict.WARN,
        "none: who has the token may send from anywhere",
        f"name this machine's address {_PANEL}, API tokens",
    )


def _bounces(group: str, facts: Facts) -> Row:
    to, sender = facts.get("bounce_notification", ""), facts.get("bounce_notification_to_sender", "").lower()
    if to or sender in _TRUE:
        return Row(group, "bounce notification", Verdict.OK, f"to {to or 'the sender'}")
    if "bounce_notification" not in facts:
        return Row(group, "bounce notification", Verdict.UNKNOWN, "the API does not say", f"look {_PANEL}, Accounts")
    return Row(
        group, "bounce notification", Verdict.WARN, "nobody is told of bounces", f"name an address {_PANEL}, Accounts"
    )


def _suppression(group: str, facts: Facts) -> Row:
    ignored = facts.get("ignore_suppression_list", "").lower()
    if not ignored:
        return Row(group, "suppression list", Verdict.UNKNOWN, "the API does not say", f"look {_PANEL}, Accounts")
    if ignored in _TRUE:
        return Row(
            group,
            "suppression list",
            Verdict.WARN,
            "ignored: mail goes to addresses that bounced",
            f"turn it on {_PANEL}, Accounts",
        )
    return Row(group, "suppression list", Verdict.OK, "respected")


def _quota(group: str, facts: Facts) -> Row:
    left = facts.get("remaining_messages", "")
    if not left.isdecimal():
        return Row(group, "messages left", Verdict.UNKNOWN, left or "the API does not say")
    if int(left) == 0:
        return Row(group, "messages left", Verdict.FAIL, "none: mail waits in the spool", "buy or wait for more")
    return Row(group, "messages left", Verdict.OK, left)


def _names(accounts: Sequence[Facts]) -> str:
    return ", ".join(one.get("username") or one.get("id", "") for one in accounts) or "none that the token sees"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
