"""Sender domains as tables for people and as JSON for programs.

In: what is known, reports. Out: text on standard output. Never: markup or control characters that came from DNS or the API.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qboxrelay.model.sender_domain import DeliveryDomain, DomainReport, DomainState, RecordVerdict, shown
from qboxrelay.policy.sender_domain import SenderDomainRules

if TYPE_CHECKING:
    from qboxrelay.cli.domain_facts import KnownDomains

_COLOURS = {
    "accept": "green", "warn": "yellow", "defer": "yellow", "reject": "red",
    RecordVerdict.OK: "green", RecordVerdict.WRONG: "red", RecordVerdict.MISSING: "red", RecordVerdict.UNKNOWN: "yellow",
}  # fmt: skip
_WIDE = 200
"""For files and pipes, which have no width of their own."""


def listing_json(known: "KnownDomains") -> dict[str, Any]:
    """`age_seconds` and `fetched_at` are null where the Management API is not the source."""
    listing = known.listing
    return {
        "source": "management" if known.asks_api else "static",
        "fetched_at": listing.fetched_at.isoformat() if listing else None,
        "age_seconds": round(_age(known)) if listing else None,
        "domains": [_listed_json(known, name) for name in known.names()],
    }


def print_listing(known: "KnownDomains") -> None:
    console, table = _console(), _table("Domain", "State", "Its mail", "Accounts", "Qboxmail's last DNS checks")
    for name in known.names():
        entry = _listed_json(known, name)
        mail = Text(_mail(entry), style=_COLOURS[entry["mode"]])
        accounts = ", ".join(entry["accounts"]) or "-"
        table.add_row(
            Text(shown(name)), Text(entry["state"]), mail, Text(accounts), Text(_last_checks(known.domain(name)))
        )
    console.print(table)
    if known.listing is not None:
        console.print(Text(f"As the Management API said {_ago(_age(known))} ago."))
        if known.too_old:
            fallback = known.settings.sender_domains.if_no_facts
            console.print(
                Text(
                    f"That is longer than facts_max_age: it does not count any more, and all mail is judged by if_no_facts ({fallback})."
                )
            )
    else:
        console.print(Text("From the configuration; the Management API is not asked."))


def reports_json(known: "KnownDomains", reports: Sequence[DomainReport]) -> list[dict[str, Any]]:
    return [
        {
            "domain": report.domain,
            "state": _state(known, report.domain),
            "verdict": report.verdict,
            "checked_at": report.checked_at.isoformat(),
            "records": [
                {
                    "kind": check.kind,
                    "name": check.name,
                    "verdict": check.verdict,
                    "required": check.required,
                    "expected": check.expected,
                    "found": check.found,
                    "advice": check.advice,
                    "dnssec": check.secure,
                }
                for check in report.checks
            ],
        }
        for report in reports
    ]


def print_reports(known: "KnownDomains", reports: Iterable[DomainReport]) -> None:
    console = _console()
    for report in reports:
        state = _state(known, report.domain) if known.checks else "not checked by the relay"
        console.print(Text(f"{shown(report.domain)}: {state}", style="bold"))
        table = _table("Record", "Name", "Verdict", "Expected", "Found", "DNSSEC")
        for check in report.checks:
            verdict = Text(check.verdict if check.required else f"{check.verdict} (advice)")
            verdict.stylize(
                _COLOURS[check.verdict] if check.required or check.verdict is RecordVerdict.OK else "yellow"
            )
            dnssec = {True: "validated", False: "no", None: "?"}[check.secure]
            table.add_row(
                check.kind, Text(check.name), verdict, Text(check.expected), Text(check.found or "nothing"), dnssec
            )
        console.print(table)
        for check in report.checks:
            if check.advice:
                console.print(Text(f"  {check.kind}: {check.advice}"))
        console.print()


def _listed_json(known: "KnownDomains", name: str) -> dict[str, Any]:
    """`account` is the relay's own that would send, null where none does; `state` and `mode` are for its mail."""
    domain, account = known.domain(name), known.account_of(name)
    state = known.standing(name, account).state
    mode = SenderDomainRules(known.settings.sender_domains).mode(state) if account is not None else "reject"
    return {
        "domain": name,
        "state": state if state is not DomainState.NO_FACTS or domain is None else domain.state,
        "mode": mode,
        "account": account,
        "accounts": _accounts(known, domain),
        "code": domain.code if domain else None,
        "api": dict(domain.words) if domain else None,
    }


def _state(known: "KnownDomains", domain: str) -> DomainState:
    return known.standing(domain, known.account_of(domain)).state


def _accounts(known: "KnownDomains", domain: DeliveryDomain | None) -> list[str]:
    """By username where there is one."""
    if domain is None or known.listing is None:
        return []
    mine = [account for account in known.listing.accounts if not account.keys.isdisjoint(domain.accounts)]
    others = domain.accounts.difference(*(account.keys for account in mine))
    return sorted({*(account.username or account.id for account in mine), *others})


def _last_checks(domain: DeliveryDomain | None) -> str:
    if domain is None:
        return "-"
    found = [
        f"{kind} {_word(domain.words.get(f'{kind}_last_check_ok', ''))} {domain.words.get(f'{kind}_last_checked_at', '')}"
        for kind in ("dkim", "spf")
    ]
    return ", ".join(text.strip() for text in found)


def _word(value: str) -> str:
    return {"true": "ok", "false": "failed"}.get(value.lower(), value or "?")


def _age(known: "KnownDomains") -> float:
    return max(0.0, (datetime.now(UTC) - known.listing.fetched_at).total_seconds()) if known.listing else 0.0


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds)} s"


def _mail(entry: dict[str, Any]) -> str:
    return entry["mode"] if entry["account"] is not None else f"{entry['mode']} (no account of the relay)"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)
