"""Rules of [spool]: which store the URL names, and what a server needs.

In: settings whose every key is right by itself. Out: findings, warnings. Never: a connection; a URL's password in a text.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from urllib.parse import parse_qs, urlsplit

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.paths import is_postgres
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.secrets import SecretError, mode_warning, read_secret

_URL, _PASSWORD_FILE = ("spool", "url"), ("spool", "password_file")
_KINDS = 'write "sqlite:", "sqlite:///path/to/spool.db" or "postgresql://user@host/database"'
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_PACKAGES = ("psycopg", "psycopg_pool")


def spool_findings(settings: Settings) -> Iterator[Finding]:
    """What keeps the spool from being opened, as far as the words tell."""
    spool = settings.spool
    if not is_postgres(settings):
        if not spool.url.startswith("sqlite:"):
            yield Finding(_URL, "is no spool that this version knows", _KINDS)
        return
    if not _readable(spool.url):
        yield Finding(_URL, "cannot be read as a URL", 'for example "postgresql://qboxrelay@db.example.com/mail"')
    elif _torn(spool.url):
        wrong = "has a port that is no number, or an @ in its host or database, as after a password with / or @ in it"
        yield Finding(_URL, wrong, "in a password write / as %2F, @ as %40 and % as %25, or put it into password_file")
    if not _SCHEMA.fullmatch(spool.database_schema):
        wrong = "must be up to 48 lower-case letters, digits and _"
        yield Finding(("spool", "database_schema"), wrong, 'for example "qboxrelay"')
    for name in ("connect_timeout", "statement_timeout", "commit_timeout"):
        if getattr(spool, name) < timedelta(seconds=1):
            yield Finding(("spool", name), "must be a second or more", f'for example {name} = "5s"')


def spool_machine_findings(
    settings: Settings, installed: Callable[[str], bool] = lambda package: find_spec(package) is not None
) -> Iterator[Finding]:
    """What is missing here: the driver, the password."""
    if not is_postgres(settings):
        return
    if not all(map(installed, _PACKAGES)):
        instead = "install it with: pip install 'qboxrelay[postgres]'"
        yield Finding(_URL, "PostgreSQL needs the extra postgres, which is not installed", instead)
    file = settings.spool.password_file
    # A file that is not there is found with all the others.
    if file is not None and file.is_file():
        try:
            read_secret(file)
        except SecretError as error:
            yield Finding(_PASSWORD_FILE, error.wrong, error.instead)


def spool_warnings(settings: Settings) -> Iterator[str]:
    """Sentences for people."""
    if not is_postgres(settings):
        return
    if has_password(settings.spool.url):
        yield "[spool] url holds a password, which everybody sees who may read the configuration: put it in a file, and name that as password_file"
    file = settings.spool.password_file
    if file is not None and (warning := mode_warning(file)):
        yield warning


def has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError:
        return False


def _readable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Several hosts stand with commas between them, which the driver reads.
        return bool(parts.netloc or parts.query) and not any(character.isspace() for character in url)
    except ValueError:
        return False


def _torn(url: str) -> bool:
    """Whether the driver, which ends a password at the first @ or /, takes a part of it for something that is shown."""
    authority, _, path = url.partition("://")[2].partition("/")
    before, at, after = authority.partition("@")
    hosts = (after if at else before).partition("?")[0]
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts.split(",")]
    return "@" in hosts or "@" in path.partition("?")[0] or any(port and not port.isdecimal() for port in ports)
