"""`[[listeners]]`, `[tls]`: the SMTP doors."""

from pathlib import Path
from typing import Literal

from qboxrelay.settings.typed import ByteSize, Field
from qboxrelay.settings.types import Address, Duration, Network, Section, Size, SocketAddress, parse_duration


class ListenerSettings(Section):
    """One SMTP door. A limit of 0 is none."""

    name: str = "smtp"
    """Its name in logs and metrics."""
    account: str = Field(default="", examples=["default"])
    """The account that its mail leaves through, unless the login or a sender rule names another; empty: chosen by the sender domain."""
    address: Address = SocketAddress("127.0.0.1", 2525)
    """Where it listens. Loopback unless you say otherwise."""
    allow_networks: tuple[Network, ...] = ()
    """Who may send: with auth = "optional" without a login, else at all. Empty: everybody who can reach the address, which the relay
    allows only on loopback or with auth = "required"."""
    tls: Literal["none", "starttls", "implicit"] = "none"
    """`starttls` offers it; `implicit` begins with TLS, as on port 465 (RFC 8314). Both need a certificate in [tls]."""
    tls_required: bool = False
    """Whether mail is refused before STARTTLS."""
    auth: Literal["none", "optional", "required"] = "none"
    """Whether the users of [[users]] may log in here, or must before they send."""
    auth_without_tls: bool = False
    """Whether passwords may travel in clear text. A door without TLS has to say so even on loopback, where nobody else hears them."""
    auth_mechanisms: tuple[Literal["PLAIN", "LOGIN", "CRAM-MD5"], ...] = ("PLAIN", "LOGIN")
    """What is offered. Some devices try nothing else once they see CRAM-MD5, so offer it only to those that have it alone."""
    compatibility: Literal["strict", "legacy"] = "strict"
    """`legacy` lets TLS 1.0 and old ciphers in, for devices that cannot do better. Never use it where others could listen."""
    legacy_on_public_address: bool = False
    """Whether `legacy` is meant on an address that is not private."""
    proxy_protocol: bool = False
    """Whether every connection begins with a PROXY header, version 1 or 2, as HAProxy and others write it."""
    trusted_proxies: tuple[Network, ...] = ()
    """Who may send PROXY headers; connections from others are closed."""
    accept: Literal["spool", "confirm"] = "spool"
    """When the client hears 250: as soon as the mail is safe in the spool, or with the API's own verdict in it."""
    confirm_timeout: Duration = parse_duration("30s")
    """With `confirm`: longest wait for the verdict; then the answer is that of `spool`. RFC 5321 §4.5.3.2.6 lets clients wait 10 minutes."""
    bare_line_feed: Literal["reject", "normalise"] = "reject"
    """Mail whose lines end with LF alone: refused with a hint, or taken as if it had CRLF. It never ends a mail."""
    max_message_bytes: Size = ByteSize(35_000_000)
    """Largest message, as received; announced as SIZE. A request to the API holds 50 MB, base64 included."""
    max_line_bytes: Size = ByteSize(1_048_576)
    """Longest line of a message; old programs write a whole page of HTML in one."""
    max_recipients: int = Field(default=1000, ge=1)
    """Recipients of one transaction; the next ones get 452 4.5.3. RFC 5321 §4.5.3.1.8 asks for at least 100."""
    max_connections: int = Field(default=1000, ge=1)
    """Connections at a time; the next one is told 421 4.3.2."""
    max_connections_per_client: int = Field(default=500, ge=0)
    """Connections at a time from one address; the next one is told 421 4.7.0."""
    max_messages_per_connection: int = Field(default=0, ge=0)
    """Messages on one connection; then it is closed with 421 4.7.0."""
    max_messages_per_minute: int = Field(default=0, ge=0)
    """Messages that one client (its login, else its address) may begin in a minute; the next one gets 450 4.7.1."""
    max_recipients_per_minute: int = Field(default=0, ge=0)
    """Recipients that one client may name in a minute; the next one gets 450 4.7.1."""
    max_bad_commands: int = Field(default=10, ge=1)
    """Commands in error on one connection; then it is closed with 421 4.7.0."""
    idle_timeout: Duration = parse_duration("5m")
    """Longest wait for the next command. RFC 5321 §4.5.3.2.7 asks for at least 5 minutes."""
    command_timeout: Duration = parse_duration("30s")
    """Longest time from a command's first byte to its line end."""
    data_timeout: Duration = parse_duration("3m")
    """Longest silence within a message. RFC 5321 §4.5.3.2.5 lets clients think so long."""
    min_data_rate: int = Field(default=100, ge=0)
    """Bytes a second that a message must arrive with, on the whole; data_timeout is its head start."""
    session_timeout: Duration = parse_duration("24h")
    """Longest time that one connection may last."""


class TlsSettings(Section):
    """The certificate of the doors. Changed files are noticed by themselves; open connections go on."""

    certificate_file: Path | None = None
    """PEM file of the certificate and its chain; a bare name is also looked for in the systemd credentials directory."""
    key_file: Path | None = None
    """PEM file of its private key, without a passphrase, when it is not in the same file."""
