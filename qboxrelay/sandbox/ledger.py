"""What arrived: every request, and every message that counts as accepted.

In: requests and messages as they come. Out: what /sandbox/messages and /sandbox/requests show. Never: more memory than the limits say.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One accepted message and where it stood in its request. `number` counts from 1 and never comes twice."""

    number: int
    request_id: str
    message_id: str
    account: int
    position: int
    received_at: float
    size: int
    message: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request. `accepted` says whether messages of it count as queued, whatever the client was answered.

    `status` is None while no answer was sent, for good when it was withheld or cut.
    """

    request_id: str
    received_at: float
    method: str
    path: str
    connection: str
    account: int | None = None
    messages: int = 0
    bytes: int = 0
    status: int | None = None
    error: str | None = None
    accepted: bool = False
    accepted_messages: int = 0
    fault: str | None = None


class Ledger:
    """Remembers the newest messages, up to a number and up to bytes, and counts them all."""

    def __init__(self, *, inbox_size: int, inbox_bytes: int, request_count: int = 100_000) -> None:
        self._inbox_size = inbox_size
        self._inbox_bytes = inbox_bytes
        self._bytes = 0
        self._number = 0
        self.inbox: deque[Received] = deque()
        self.requests: deque[Seen] = deque(maxlen=request_count)
        self.accepted = 0
        """Messages accepted since the start or the last clearing, also those no longer remembered."""

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def keep(self, received: Received) -> None:
        self.inbox.append(received)
        self._bytes += received.size
        self.accepted += 1
        while len(self.inbox) > self._inbox_size or (self._bytes > self._inbox_bytes and len(self.inbox) > 1):
            self._bytes -= self.inbox.popleft().size

    def clear_messages(self) -> None:
        self.inbox.clear()
        self._bytes = self.accepted = 0

    def find(self, message_id: str) -> Received | None:
        return next((received for received in reversed(self.inbox) if received.message_id == message_id), None)
