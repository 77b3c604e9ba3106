"""`[[users]]`, `[logins]`: who may log in, and how often anybody may fail to."""

from pathlib import Path
from typing import Literal

from qboxrelay.settings.password_hash import OptionalPasswordHash
from qboxrelay.settings.typed import Field
from qboxrelay.settings.types import Duration, Network, Section, parse_duration


class UserSettings(Section):
    """An application or device that logs in with AUTH. What is set here binds its mail, on every listener."""

    name: str = Field(default="", examples=["erp"])
    """What it gives as user name, upper and lower case as here. The log shows it; required."""
    password_hash: OptionalPasswordHash = Field(
        default=None, examples=["$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash of the password>"]
    )
    """Its password as `qboxrelay hash-password` prints it, for PLAIN and LOGIN."""
    password_hash_file: Path | None = Field(default=None, examples=["erp.hash"])
    """File that holds that line instead; a bare name is also looked for in the systemd credentials directory."""
    cram_md5_secret_file: Path | None = Field(default=None, examples=["erp.secret"])
    """File that holds the password in clear text, which CRAM-MD5 cannot do without. Only for what can do nothing better."""
    senders: tuple[str, ...] = Field(default=(), examples=[("app@example.org", "*@example.com")])
    """Patterns of the addresses that it may send as, in MAIL FROM and in From; empty: all. `*` stands for any text."""
    account: str = Field(default="", examples=["default"])
    """The account that its mail leaves through; empty: chosen by the sender domain."""
    networks: tuple[Network, ...] = Field(default=(), examples=[("192.0.2.0/24",)])
    """Where it may log in from; empty: everywhere. From elsewhere its password is wrong."""
    accept: Literal["spool", "confirm"] | None = Field(default=None, examples=["confirm"])
    """When it hears 250; not set: as the listener says."""


class LoginSettings(Section):
    """How failed logins are slowed down. A limit of 0 is none."""

    failure_delay: Duration = parse_duration("2s")
    """How long the answer to a wrong password is held back."""
    failure_window: Duration = parse_duration("10m")
    """How long a failure counts."""
    max_failures_per_address: int = Field(default=20, ge=0, le=1000)
    """Failures within the window from one address (IPv6: one /64 network); then its logins get 454 4.7.0 unseen."""
    max_failures_per_user: int = Field(default=20, ge=0, le=1000)
    """Failures within the window for one user name, from wherever they come. Where the user has logged in from within a day it is counted
    apart, so that guesses from elsewhere do not lock it out."""
    max_failures_per_connection: int = Field(default=3, ge=1)
    """Failures on one connection; then it is closed with 421 4.7.0."""
