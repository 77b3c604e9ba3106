"""Whether a configuration can run here: its rules, its tokens, its files.

In: what was read, and the machine. Out: `Verified`, or `SettingsError` with every problem at once. Never: a change to the
machine; looking must be harmless, because `check` runs beside a running relay.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from qboxrelay.settings.draft import LeftOut, as_far_as_known, draft_of
from qboxrelay.settings.environment import TOKEN_PREFIX
from qboxrelay.settings.finding import Finding
from qboxrelay.settings.management_token import management_token
from qboxrelay.settings.places import place_findings
from qboxrelay.settings.problem import SettingsError
from qboxrelay.settings.rules import findings
from qboxrelay.settings.rules_spool import spool_machine_findings, spool_warnings
from qboxrelay.settings.rules_status import status_token_findings
from qboxrelay.settings.rules_tracing import extra_findings
from qboxrelay.settings.schema import AccountSettings, Settings
from qboxrelay.settings.secrets import (
    SecretError,
    TokenLocation,
    mode_warning,
    read_secret,
    token_location,
    token_variable,
)
from qboxrelay.settings.source import Source, read
from qboxrelay.settings.user_secrets import UserSecrets, user_secrets, user_warnings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A configuration that can run. `tokens` has an entry for every account, `users` one for every user, by their names; `warnings` are
    sentences for people.
    """

    settings: Settings
    tokens: Mapping[str, TokenLocation]
    users: Mapping[str, UserSecrets]
    management_token: TokenLocation | None = None
    """Of the Management API; None when it is not asked for sender domains."""
    warnings: tuple[str, ...] = ()


def load_verified(path: Path | None, environ: Mapping[str, str]) -> Verified:
    """Load and verify. Raises `SettingsError`."""
    source = read(path, environ, Settings)
    draft = draft_of(source)
    settings = draft.settings
    found = [*findings(settings), *place_findings(settings)]
    tokens: Mapping[str, TokenLocation] = _known(lambda: _tokens(settings, source), {}, found)
    management = _known(lambda: management_token(settings, source.environ, tokens), None, found)
    users: Mapping[str, UserSecrets] = _known(lambda: user_secrets(settings), {}, found)
    found += as_far_as_known(partial(_suppressions, management), settings)
    found += as_far_as_known(extra_findings, settings)
    found += as_far_as_known(status_token_findings, settings)
    found += as_far_as_known(spool_machine_findings, settings)
    if found or draft.problems:
        told = (source.problem(finding.path, finding.wrong, finding.instead) for finding in found)
        raise SettingsError([*draft.problems, *told])
    pages = settings.status.token_file
    locations = [*tokens.values(), *(one for one in (management, pages) if one is not None)]
    warnings = (*_warnings(settings, locations, environ), *user_warnings(settings, users), *spool_warnings(settings))
    return Verified(settings=settings, tokens=tokens, users=users, management_token=management, warnings=warnings)


def _known(work: Callable[[], tuple[T, list[Finding]]], nothing: T, found: list[Finding]) -> T:
    """What the work comes to, its findings added to those found; nothing when it needs a section that is wrong by itself."""
    try:
        result, said = work()
    except LeftOut:
        return nothing
    found += said
    return result


def _suppressions(management: TokenLocation | None, settings: Settings) -> Iterator[Finding]:
    chosen = settings.sender_domains
    # A token that is there and cannot be used is complained about elsewhere.
    missing = chosen.token_file is None or chosen.source in {"static", "none"}
    if settings.recipients.refuse_suppressed and management is None and missing:
        wrong = "the suppression list cannot be read without a Management API token"
        instead = 'set token_file in [sender_domains], with its source "auto" or "management"'
        yield Finding(("recipients", "refuse_suppressed"), wrong, instead)


def _tokens(settings: Settings, source: Source) -> tuple[dict[str, TokenLocation], list[Finding]]:
    tokens: dict[str, TokenLocation] = {}
    broken: list[Finding] = []
    for index, account in enumerate(settings.accounts):
        try:
            tokens[account.name] = _token(account, source)
        except SecretError as error:
            key = ("accounts", index) if account.token_file is None else ("accounts", index, "token_file")
            broken.append(Finding(key, error.wrong, error.instead))
    return tokens, broken


def _token(account: AccountSettings, source: Source) -> TokenLocation:
    location = token_location(account, source.environ, source.folder)
    if isinstance(location, Path):
        read_secret(location)
    return location


def _warnings(settings: Settings, tokens: Sequence[TokenLocation], environ: Mapping[str, str]) -> Iterator[str]:
    for location in tokens:
        if isinstance(location, Path) and (warning := mode_warning(location)):
            yield warning
    variables = {token_variable(account.name): account for account in settings.accounts}
    for name in sorted(environ):
        if name.startswith(TOKEN_PREFIX) and name not in variables:
            yield f"{name} is set, but no account has the name for it: {', '.join(sorted(variables))} would be read"
        elif name in variables and variables[name].token_file is not None:
            yield f"{name} is set and goes before the token_file of the account {variables[name].name}"
