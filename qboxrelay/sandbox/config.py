"""How a sandbox is set up.

In: nothing. Out: `SandboxConfig`. Never: a choice about undocumented behaviour; those are `Switches`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from qboxrelay.sandbox.accounts import Account, Domain, default_domains
from qboxrelay.sandbox.switches import Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Port 0 lets the system choose. The limits are those of API page limits-quotas-suppression."""

    host: str = "127.0.0.1"
    port: int = 8026
    send_token: str = "sandbox-send-token"  # noqa: S105 - opens nothing but this emulator
    management_token: str = "sandbox-management-token"  # noqa: S105 - as above
    accounts: tuple[Account, ...] = ()
    """Empty: a transactional account with `send_token` and `quota`, and a newsletter account."""
    domains: tuple[Domain, ...] = field(default_factory=default_domains)
    quota: int | None = None
    """Messages that the default transactional account may still send."""
    max_messages: int = 500
    max_payload_bytes: int = 50_000_000
    requests_per_second: int = 10
    """For each token."""
    latency_seconds: float = 0.0
    """Waited before every answer of the Send API."""
    inbox_size: int = 10_000
    """Messages that are remembered; older ones go, and are still counted."""
    inbox_bytes: int = 500_000_000
    """Bytes of remembered messages, by their share of their requests; older ones go."""
    certificate: Path | None = None
    """Serve HTTPS with this certificate (PEM, with its key unless `certificate_key` is given)."""
    certificate_key: Path | None = None
    client_ca: Path | None = None
    """Ask clients for a certificate that this CA has signed."""
    switches: Switches = field(default_factory=Switches)
