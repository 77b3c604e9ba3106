"""The token of the Management API: where it is, and whether it can be the right kind.

In: the `[sender_domains]` settings, the environment, the Send tokens. Out: its location, or None where domains are not known from the
Management API; findings. Never: a token's text in a finding.
"""

from collections.abc import Mapping
from pathlib import Path

from qboxrelay.settings.environment import MANAGEMENT_TOKEN
from qboxrelay.settings.finding import Finding
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.secrets import SecretError, TokenLocation, read_secret, secret_from_text
from qboxrelay.settings.types import Secret

_SECTION = "sender_domains"
_WRONG_KIND = "make a Management API token for a Qboxmail user; the two kinds open different APIs and cannot stand in for each other"


def management_token(
    settings: Settings, environ: Mapping[str, str], send_tokens: Mapping[str, TokenLocation]
) -> tuple[TokenLocation | None, list[Finding]]:
    """Where the token is: the environment goes before the file, whose path is in its place. None when no token is used."""
    chosen = settings.sender_domains
    configured = MANAGEMENT_TOKEN in environ or chosen.token_file is not None
    if chosen.source in {"static", "none"} or (chosen.source == "auto" and not configured):
        return None, []
    if not configured:
        instead = f'write token_file = "file" with the path of a file that holds the token, or set {MANAGEMENT_TOKEN}'
        return None, [Finding((_SECTION, "source"), "the Management API cannot be asked without a token", instead)]
    try:
        location: TokenLocation | None = chosen.token_file
        if MANAGEMENT_TOKEN in environ:
            location = secret_from_text(environ[MANAGEMENT_TOKEN], where=MANAGEMENT_TOKEN)
        assert location is not None
        secret = _text(location)
        same = next((name for name, other in send_tokens.items() if _text(other) == secret), None)
    except SecretError as error:
        return None, [Finding((_SECTION, "token_file"), error.wrong, error.instead)]
    if same is not None:
        wrong = f'is the Send API token of the account "{same}", which does not open the Management API'
        return None, [Finding((_SECTION, "token_file"), wrong, _WRONG_KIND)]
    return location, []


def _text(location: TokenLocation) -> Secret:
    return read_secret(location) if isinstance(location, Path) else location
