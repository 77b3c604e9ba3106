"""What all sessions of a listener share.

In: settings and the parts that outlive a session. Out: `Door`. Never: anything of a single session.
"""

import ssl
from dataclasses import dataclass, field
from typing import Any, Protocol

from qboxrelay.model.address import Address
from qboxrelay.model.clock import Clock
from qboxrelay.model.envelope import Envelope
from qboxrelay.model.reply import Reply
from qboxrelay.policy.login.logins import Logins
from qboxrelay.policy.networks import Networks
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.smtp.limits import Memory, PerMinute
from qboxrelay.smtp.pace import Pace
from qboxrelay.smtp.wirelog import WireLog
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics


class Admission(Protocol):
    """What a session needs of intake."""

    async def admit(self, envelope: Envelope, content: bytes) -> Reply: ...

    @property
    def judges_senders(self) -> bool:
        """Whether `refused_sender` has anything to say."""
        ...

    async def refused_sender(self, sender: Address | None) -> Reply | None:
        """Why no mail from this envelope sender may come, or None."""
        ...

    @property
    def judges_recipients(self) -> bool:
        """Whether `refused_recipient` has anything to say."""
        ...

    async def refused_recipient(self, address: Address) -> Reply | None:
        """Why nobody may write to this recipient, or None."""
        ...


class Sessions(Protocol):
    """Who counts the open sessions: the listener."""

    def opened(self, session: Any, client: str) -> Reply | None:
        """None, or why there is no room for it."""
        ...

    def closed(self, session: Any, client: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Times:
    """The time limits in seconds, computed once."""

    idle: float
    command: float
    data: float
    session: float

    @classmethod
    def of(cls, settings: ListenerSettings) -> "Times":
        return cls(
            settings.idle_timeout.total_seconds(),
            settings.command_timeout.total_seconds(),
            settings.data_timeout.total_seconds(),
            settings.session_timeout.total_seconds(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What all sessions of a listener share."""

    settings: ListenerSettings
    times: Times
    hostname: str
    greeting: Reply
    admission: Admission
    clock: Clock
    metrics: SmtpMetrics
    sessions: Sessions
    memory: Memory
    messages: PerMinute
    recipients: PerMinute
    allowed: Networks
    wire: WireLog
    logins: Logins | None = None
    """Who may log in; None where nobody can."""
    tls: ssl.SSLContext | None = None
    """For STARTTLS and implicit TLS; None where the listener has neither."""
    pace: Pace = field(default_factory=Pace)
