"""`qboxrelay check`: is this configuration one that can run?"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.settings.schema import Settings


def check(config: Path = CONFIG) -> None:
    """Validate a configuration and report every problem at once, with file, line and what to write instead.

    Rules between sections leave out a section that is wrong by itself, so mending it may show more. What only a start can tell is not
    looked at: whether an address is taken, whether the spool's file is sound, whether Qboxmail takes the token.

    Exit status 0 when nothing is wrong, 1 otherwise.
    """
    from qboxrelay.cli.configuration import load_or_explain

    loaded = load_or_explain(config, os.environ)
    if loaded is None:
        raise typer.Exit(1)
    for warning in loaded.warnings:
        print(f"warning: {warning}")
    settings = loaded.settings
    print(f"{config} is fine.")
    for listener in settings.listeners:
        print(f"  listener {listener.name}: {listener.address}")
    for user in settings.users:
        print(f"  user {user.name}: sends as {', '.join(user.senders) or 'anybody'}")
    for account in settings.accounts:
        print(f"  account {account.name}: {account.base_url}, domains: {', '.join(account.domains) or 'all others'}")
    print(f"  sender domains: {_sender_domains(settings, asks_api=loaded.management_token is not None)}")


def _sender_domains(settings: "Settings", *, asks_api: bool) -> str:
    chosen = settings.sender_domains
    if asks_api:
        return f"those of the Management API ({chosen.base_url}), dns: {chosen.dns}"
    if chosen.source != "none" and chosen.domains:
        return f"{', '.join(chosen.domains)}, dns: {chosen.dns}"
    return "not checked: every domain may send"
