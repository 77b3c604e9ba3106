"""`[relay]`, `[spool]`, `[status]`, `[log]`: the daemon itself."""

from pathlib import Path
from typing import Literal

from qboxrelay.settings.typed import ByteSize, Field
from qboxrelay.settings.types import (
    Duration,
    Network,
    OptionalAddress,
    Section,
    Size,
    SocketAddress,
    parse_duration,
)


class RelaySettings(Section):
    """The relay as a whole."""

    name: str = ""
    """Host name in the greeting and in ids shown to people; empty: this machine's host name."""
    data_dir: Path = Path("/var/lib/qboxrelay")
    """Where everything that must survive is kept; made when missing, readable by its owner only."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that take mail. 1: the relay is a single process. With more, that many take mail and one more keeps it and sends it: for a machine
    whose cores have nothing better to do, when one process takes less mail than comes."""
    stop_timeout: Duration = parse_duration("20s")
    """Longest time a stop may take: sessions and requests under way finish within it. Keep it below what kills the relay: 10 seconds after
    `docker stop`, TimeoutStopSec= of systemd."""
    max_receiving_bytes: Size = ByteSize(256_000_000)
    """Memory for messages while they are received and stored, over all listeners; above it DATA is answered 452 4.3.1."""
    max_received: int = Field(default=100, ge=1)
    """Received fields of a mail; one with more runs in a circle and gets 554 5.4.6. RFC 5321 §6.3 asks for at least 100."""
    max_passes: int = Field(default=3, ge=0)
    """Times that a mail may have gone through a relay of this kind before, as its X-Qboxrelay-Id fields tell; then it gets 554 5.4.6. A
    mail that its reader forwards through the relay that sent it passes twice."""


class SpoolSettings(Section):
    """The durable store between taking mail and sending it."""

    url: str = "sqlite:"
    """`sqlite:` is a file in data_dir; `sqlite:///path/to/spool.db` names one; `postgresql://user@host/database` is a database that any number
    of relays may share, each with a [relay] name and a data_dir of its own. It needs the extra: pip install 'qboxrelay[postgres]'."""
    database_schema: str = "qboxrelay"
    """PostgreSQL: the schema, made at the first start; one database may hold several spools."""
    password_file: Path | None = Field(default=None, examples=["postgres-password"])
    """PostgreSQL: a file that holds the password of the user in url. A bare name is also looked for in the systemd credentials directory."""
    pool_size: int = Field(default=8, ge=4, le=100)
    """PostgreSQL: connections that this relay uses at most, beside two that listen."""
    connect_timeout: Duration = parse_duration("5s")
    """PostgreSQL: how long a connection is waited for."""
    statement_timeout: Duration = parse_duration("20s")
    """PostgreSQL: after so long the server ends a statement; one that does not answer at all is left a little later."""
    commit_timeout: Duration = parse_duration("8s")
    """PostgreSQL: how long a mail waits until it is stored, while the server is away, hangs or only reads; then it is answered 451 and comes
    again, or goes into the fallback."""
    fallback: Literal["off", "local"] = "off"
    """PostgreSQL: `local` takes mail into a file in data_dir while the server takes none, and moves it there once it does."""
    max_messages: int = Field(default=1_000_000, ge=1)
    """Submissions that may wait (queued, sending, held); above it the door answers 452 4.3.1."""
    max_bytes: Size = ByteSize(20_000_000_000)
    """Bytes that waiting submissions may hold together; above it the door answers 452 4.3.1."""
    min_free_bytes: Size = ByteSize(200_000_000)
    """Free disk space that new mail may not use up: it is what delivery needs to record results. A PostgreSQL server sees to its own."""
    keep_failed_payloads: Duration = parse_duration("30d")
    """How long the content of failed submissions is kept for an operator's retry."""
    keep_trail: Duration = parse_duration("30d")
    """How long the record of a finished submission (without its content) is kept."""
    keep_raw: Literal["never", "failed", "always"] = "never"
    """Keep messages as received: `failed` until the submission is sent, `always` as long as its record."""


class StatusSettings(Section):
    """The HTTP listener for the status page, metrics and health. On loopback everybody on this machine may read; from elsewhere, or where
    user_header is set, only who shows the token or comes through the proxy. /healthz and /readyz are open.
    """

    address: OptionalAddress = SocketAddress("127.0.0.1", 8025)
    """Where the status page, /metrics, /healthz and /readyz are served; empty: nowhere."""
    token_file: Path | None = Field(default=None, examples=["status-token"])
    """File that holds a token of 20 characters or more, of your own making (`openssl rand -hex 24`): who logs in with it may read, and
    retry, hold, release, delete and pause. Scrapers show it as `Authorization: Bearer`. Without it nobody can do anything from the page.
    A bare name is also looked for in the systemd credentials directory."""
    user_header: str = Field(default="", examples=["X-Forwarded-User"])
    """Header in which a reverse proxy names the user that it let in, who may then read; acts still take the token. The proxy must
    remove it from what clients send."""
    trusted_proxies: tuple[Network, ...] = Field(default=(), examples=[("127.0.0.1", "::1")])
    """Whose user_header is believed."""
    hosts: tuple[str, ...] = Field(default=(), examples=[("relay.example.com",)])
    """Names under which a browser may ask for the page, beside IP addresses, localhost, this machine's name and that in [relay]; with any
    other name the page is refused, because a stranger's web page could have led the browser here (DNS rebinding)."""
    request_window: int = Field(default=50, ge=0, le=1000)
    """How many of the latest requests are series of their own in the metrics, so that a query by request_id finds them; 0: none."""


class LogSettings(Section):
    """The log, on standard error."""

    format: Literal["json", "console", "journald", "auto"] = "auto"
    """`journald`: fields of systemd's journal, such as QBOXRELAY_TRANSACTION_ID, that journalctl searches; `auto`: console on a terminal, JSON
    elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""
    addresses: Literal["full", "domain", "hash", "off"] = "full"
    """How mail addresses appear in the log."""
    subjects: Literal["full", "hash", "off"] = "off"
    """How subjects, which are content, appear in the log."""
    repeat_every: Duration = parse_duration("1m")
    """A warning or error that repeats is written once in this time, with the number of repetitions; 0s: each time. Closing lines of mails are
    always written."""
