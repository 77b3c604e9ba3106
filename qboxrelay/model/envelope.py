"""What the SMTP dialogue says about a mail, apart from its content (RFC 5321 §2.3.1).

In: parsed commands. Out: `Envelope`. Never: header fields; they are the message's.
"""

from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum

from qboxrelay.model.address import Address
from qboxrelay.model.value import value


@value(frozen=True, slots=True, kw_only=True)
class Client:
    """Who handed the mail in. `address` is the textual IP address (behind a trusted proxy: the one it names)."""

    address: str
    port: int = 0
    helo: str = ""
    listener: str = ""
    tls: str | None = None
    """TLS version, such as `TLSv1.3`; None in clear text."""
    user: str | None = None
    """The login that AUTH proved; None without."""

    @property
    def key(self) -> str:
        """By what fairness tells applications apart: the login if there is one, else the address."""
        return client_key(self.address, self.user)


def client_key(address: str, user: str | None) -> str:
    """The login if there is one, else the address; neither can be taken for the other."""
    return f"user:{user}" if user else f"ip:{address}"


class Notify(StrEnum):
    """RCPT's NOTIFY parameter, RFC 3461 §4.1."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


@value(frozen=True, slots=True)
class Recipient:
    """One accepted RCPT."""

    address: Address
    notify: frozenset[Notify] = frozenset()
    """Empty: the sender asked for nothing, so the default holds (FAILURE, perhaps DELAY)."""
    orcpt: str | None = None


@value(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One mail transaction. `sender` is None for the null sender `<>`; `recipients` hold each mailbox once, in order."""

    transaction_id: str
    sender: Address | None
    recipients: tuple[Recipient, ...]
    client: Client
    received_at: datetime
    """Aware UTC: when MAIL was accepted."""
    smtputf8: bool = False
    envid: str | None = None
    account: str | None = field(default=None)
    """The account that the login asks for. A sender rule goes before it; without both it is that of the listener or the sender domain."""
    confirm: timedelta | None = None
    """How long the client waits for the API's verdict; None: it hears 250 when the mail is in the spool."""
