"""`qboxrelay doctor`: everything that can be looked at before mail is entrusted to a relay, or when something is wrong.

In: the configuration. Out: rows as they are found, an exit status. Never: a message sent, a change at Qboxmail or on this machine.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qboxrelay.cli.doctor_row import Row, Verdict, print_row
from qboxrelay.cli.plain import to_json
from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.model.sender_domain import Listing
    from qboxrelay.qboxmail.management import ManagementClient

_MANAGEMENT = "Management API"
_DOMAINS = "Sender domains"


def doctor(
    config: Path = CONFIG,
    as_json: bool = typer.Option(False, "--json", help="JSON instead of lines for people."),
) -> None:
    """Look at everything that mail depends on: configuration, secrets, disk, ports, certificates, DNS, both APIs and their tokens, sender
    domains, and Qboxmail's own list for going to production. Nothing is sent and nothing is changed.

    Each finding is ok, warn, fail or unknown, with what to do. Run it as the user of the relay, or as root, beside a running relay or without.

    Exit status 0 when nothing fails, 1 otherwise.
    """
    from qboxrelay.settings.schema import LogSettings
    from qboxrelay.telemetry.logs import configure

    configure(LogSettings(format="console", level="error"), sys.stderr)
    rows = asyncio.run(_examine(config, as_json=as_json))
    if as_json:
        print(to_json([row.as_json() for row in rows]))
    else:
        counts = ", ".join(f"{sum(row.verdict is one for row in rows)} {one.value}" for one in Verdict)
        print(f"\n{counts}")
    raise typer.Exit(1 if any(row.verdict is Verdict.FAIL for row in rows) else 0)


async def _examine(config: Path, *, as_json: bool) -> list[Row]:
    """The rows, each shown when it is found."""
    rows: list[Row] = []
    async for row in _rows(config):
        if not as_json:
            print_row(row, rows[-1] if rows else None)
            sys.stdout.flush()
        elif sys.stderr.isatty():
            print(f"{row.verdict.value:8}{row.group}: {row.name}", file=sys.stderr)
        rows.append(row)
    return rows


async def _here(loaded: "Loaded") -> AsyncIterator[Row]:
    from qboxrelay.cli.doctor_database import database_row
    from qboxrelay.cli.doctor_machine import machine_rows
    from qboxrelay.settings.paths import is_postgres

    for row in machine_rows(loaded):
        yield row
    if is_postgres(loaded.settings):
        yield await database_row(loaded.settings)


async def _rows(config: Path) -> AsyncIterator[Row]:
    from qboxrelay.cli.configuration import load
    from qboxrelay.cli.doctor_api import account_rows
    from qboxrelay.cli.doctor_production import monitoring
    from qboxrelay.settings.problem import SettingsError

    try:
        loaded = load(config, os.environ)
    except SettingsError as error:
        for problem in error.problems:
            found = str(replace(problem, instead=""))
            yield Row("Configuration", "problem", Verdict.FAIL, found, problem.instead)
        return
    yield Row("Configuration", "file", Verdict.OK, f"{config} can run")
    for warning in loaded.warnings:
        yield Row("Configuration", "warning", Verdict.WARN, warning)
    async for row in _here(loaded):
        yield row
    for account in loaded.settings.accounts:
        async for row in account_rows(account, loaded.tokens[account.name], loaded.settings):
            yield row
    async for row in _management_rows(loaded):
        yield row
    yield monitoring(loaded.settings)


async def _management_rows(loaded: "Loaded") -> AsyncIterator[Row]:
    """The other token, the domains, and what the API says of the accounts."""
    from qboxrelay.model.clock import SystemClock
    from qboxrelay.model.sender_domain import ManagementFailure
    from qboxrelay.qboxmail.management import ManagementClient

    if loaded.management_token is None:
        advice = (
            "set token_file in [sender_domains] to a Management API token: then domains and accounts can be looked at"
        )
        yield Row(_MANAGEMENT, "token", Verdict.UNKNOWN, "none is configured", advice)
        return
    client = ManagementClient(
        settings=loaded.settings.sender_domains, token=loaded.management_token, clock=SystemClock()
    )
    try:
        listing = await client.listing()
        found = f"taken: {len(listing.domains)} domains, {len(listing.accounts)} accounts"
        yield Row(_MANAGEMENT, "token", Verdict.OK, found)
        async for row in _domain_rows(loaded, listing):
            yield row
        async for row in _production_rows(loaded, client, listing):
            yield row
    except ManagementFailure as failure:
        yield Row(_MANAGEMENT, "token", Verdict.FAIL, str(failure), "then: qboxrelay domains refresh")
    finally:
        await client.close()


async def _domain_rows(loaded: "Loaded", listing: "Listing") -> AsyncIterator[Row]:
    from qboxrelay.cli.domain_checks import check_all
    from qboxrelay.cli.domain_facts import KnownDomains
    from qboxrelay.model.sender_domain import DomainState, RecordVerdict

    verdicts = {RecordVerdict.OK: Verdict.OK, RecordVerdict.UNKNOWN: Verdict.UNKNOWN}
    for name, domain in sorted(listing.domains.items()):
        good = domain.state is DomainState.ENABLED
        advice = (
            "" if good else f"see: qboxrelay domains check {name}; its mail is treated as if_{domain.state.value} says"
        )
        yield Row(_DOMAINS, name, Verdict.OK if good else Verdict.WARN, domain.state.value, advice)
    usable = [name for name, domain in sorted(listing.domains.items()) if domain.state is DomainState.ENABLED]
    known = KnownDomains(settings=loaded.settings, asks_api=True, listing=listing)
    for report in await check_all(known, usable):
        wrong = [
            f"{one.kind} {one.name}" for one in report.checks if one.required and one.verdict is not RecordVerdict.OK
        ]
        found = f"{report.verdict.value}{f' ({chr(44).join(wrong)})' if wrong else ''}"
        advice = f"qboxrelay domains check {report.domain} says what to publish" if wrong else ""
        yield Row(_DOMAINS, f"DNS of {report.domain}", verdicts.get(report.verdict, Verdict.WARN), found, advice)


async def _production_rows(loaded: "Loaded", client: "ManagementClient", listing: "Listing") -> AsyncIterator[Row]:
    from qboxrelay.cli.doctor_production import going_live
    from qboxrelay.model.sender_domain import ManagementFailure

    accounts = await client.account_facts()
    for account in loaded.settings.accounts:
        mine = {one.get("id"): one.get("username") for one in accounts}
        id_ = next((key for key, name in mine.items() if key and account.delivery_account in {key, name}), None)
        try:
            tokens = await client.token_facts(id_) if id_ else None
        except ManagementFailure:
            tokens = None
        for row in going_live(account, listing, accounts, tokens):
            yield row
