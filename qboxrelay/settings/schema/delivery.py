"""`[[accounts]]`, `[delivery]`: how mail leaves."""

from pathlib import Path
from typing import Literal

from qboxrelay.settings.typed import ByteSize, Field
from qboxrelay.settings.types import Duration, Section, Size, parse_duration


class AccountSettings(Section):
    """One Delivery account of Qboxmail: a Send API token and what it may send."""

    name: str = "default"
    """Its name in logs, metrics and rules."""
    type: Literal["transactional", "newsletter"] = "transactional"
    """What it is at Qboxmail: shown in status, log and metrics, so that nobody mistakes one for the other. It changes nothing else."""
    base_url: str = "https://api.qboxmail.com/v1"
    """The Send API; `/send` is added to it. Pages of the documentation name two hosts, so this is yours to set."""
    token_file: Path | None = None
    """File that holds the Send API token; a bare name is also looked for in the systemd credentials directory.
    Environment: QBOXRELAY_TOKEN_<NAME>."""
    domains: tuple[str, ...] = ()
    """Sender domains that this account serves; empty: all that no other account names."""
    delivery_account: str = Field(default="", examples=["12345"])
    """Its id or username at Qboxmail, for [sender_domains] to tell which domains are assigned to it; empty: to any account will do."""
    max_messages_per_request: int = Field(default=500, ge=1, le=500)
    """The API documents up to 500 messages in one request."""
    max_request_bytes: Size = ByteSize(49_000_000)
    """The API documents 50 MB for one request, without saying which MB; stay below."""
    requests_per_second: float = Field(default=10.0, gt=0)
    """The API documents 10 requests a second for one token."""
    max_requests_in_flight: int = Field(default=4, ge=1)
    """Requests under way at a time."""
    proxy: str = ""
    """URL of an HTTP proxy for this account; empty: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say. A proxy that wants a password
    belongs into the environment, not here."""
    ca_file: Path | None = None
    """PEM file of the only authorities that may have signed the API's certificate; without it this machine's and Mozilla's."""
    client_certificate_file: Path | None = None
    """PEM file of a certificate to show to the API or to a proxy in front of it."""
    client_key_file: Path | None = None
    """Its private key, when it is not in the same file."""


class DeliverySettings(Section):
    """When and how often mail is tried."""

    retry_schedule: tuple[Duration, ...] = tuple(
        parse_duration(step) for step in ("30s", "1m", "2m", "5m", "10m", "15m", "30m", "60m")
    )
    """Waits between attempts; the last one repeats. Each is spread by ten percent."""
    header_priority: bool = True
    """Whether X-Priority, Priority, Importance and Precedence say how soon a mail leaves among the waiting mail of its client. Of ten turns
    six are for high, three for normal and one for low priority; other clients' turns are not touched."""
    max_age: Duration = parse_duration("48h")
    """How long a submission is tried before it fails."""
    unknown_outcome: Literal["retry", "hold"] = "retry"
    """A request was sent and no answer came: try again (may duplicate) or hold for an operator."""
    request_deadline: Duration = parse_duration("60s")
    """Longest wait for one request, connection and answer included."""
    connect_timeout: Duration = parse_duration("10s")
    """Longest wait for each step to a connection: TCP, a proxy, TLS. request_deadline covers them all."""
    lease: Duration = parse_duration("5m")
    """How long a dispatcher owns what it claimed; well above request_deadline, so that no slow request is sent twice."""
    account_pause: Duration = parse_duration("60s")
    """How long an account whose token is refused (401, 403) waits before it is probed with one request."""
    quota_pause: Duration = parse_duration("10m")
    """How long an account whose quota does not hold one more message waits before it is probed with one request."""
    rate_pause: Duration = parse_duration("1s")
    """How long an account waits after a 429 that names no Retry-After; doubled while it goes on, up to a minute."""
    breaker_failures: int = Field(default=5, ge=1)
    """Requests that must fail in a row (5xx, no connection, no answer) before an account's breaker opens."""
    breaker_pause: Duration = parse_duration("10s")
    """How long an open breaker waits before it lets one message through as a probe."""
    max_retry_after: Duration = parse_duration("1h")
    """Longest Retry-After that is obeyed."""
