"""A mail transaction under way (RFC 5321 §3.3), and the envelope that it becomes.

In: the addresses and parameters of MAIL and RCPT. Out: `Envelope`. Never: a reply.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from qboxrelay.model.address import Address
from qboxrelay.model.envelope import Client, Envelope, Notify, Recipient
from qboxrelay.smtp.content import Pieces, add_piece
from qboxrelay.smtp.limits import Share


@dataclass(slots=True, kw_only=True)
class Transaction:
    """What MAIL, RCPT and BDAT have said so far."""

    id: str
    received_at: datetime
    sender: Address | None
    share: Share
    size: int = 0
    """What the client announced; 0 when it did not."""
    smtputf8: bool = False
    envid: str | None = None
    recipients: dict[tuple[str, str], Recipient] = field(default_factory=dict)
    chunks: Pieces = field(default_factory=list)
    """Contents of BDAT commands, RFC 3030."""
    received: int = 0
    """Their octets."""
    chunked: bool = False
    """Whether BDAT has begun: then only BDAT may follow."""

    def take_chunk(self, piece: bytes) -> None:
        """A chunk, or a part of one."""
        self.received += len(piece)
        add_piece(self.chunks, piece)

    def add(self, address: Address, parameters: dict[str, str]) -> None:
        """One accepted RCPT; the same mailbox again changes nothing."""
        recipient = Recipient(address)
        if parameters:
            recipient = Recipient(address, _notify(parameters.get("NOTIFY", "")), parameters.get("ORCPT"))
        self.recipients.setdefault(address.exact_key, recipient)

    def envelope(self, client: Client, account: str | None, confirm: timedelta | None) -> Envelope:
        return Envelope(
            transaction_id=self.id,
            sender=self.sender,
            recipients=tuple(self.recipients.values()),
            client=client,
            received_at=self.received_at,
            smtputf8=self.smtputf8,
            envid=self.envid,
            account=account,
            confirm=confirm,
        )


def _notify(value: str) -> frozenset[Notify]:
    words = {word.strip().upper() for word in value.split(",")}
    return frozenset(notify for notify in Notify if notify in words)
