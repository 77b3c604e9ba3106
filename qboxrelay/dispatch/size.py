"""How large the next request may be.

In: what requests of which size came to. Out: limits for the next claim. Never: above the documented limits, or all at once upon an API
that has just come back.
"""

from qboxrelay.settings.schema import AccountSettings

_FRAME_BYTES = len('{"messages":[]}')
_GROWTH = 2
_BYTES_GROWTH = 1.25


class BatchSize:
    """Limits that halve when a request is refused as a whole, and grow back with each that was accepted."""

    def __init__(self, settings: AccountSettings) -> None:
        self._most_messages = settings.max_messages_per_request
        self._most_bytes = int(settings.max_request_bytes) - _FRAME_BYTES
        self.messages = self._most_messages
        self.bytes = self._most_bytes

    def accepted(self) -> None:
        self.messages = min(self._most_messages, self.messages * _GROWTH)
        self.bytes = min(self._most_bytes, int(self.bytes * _BYTES_GROWTH) + 1)

    def refused(self, messages: int, size: int, *, by_bytes: bool) -> None:
        """A request of so many messages and bytes was too large: `by_bytes` for 413, else for the quota."""
        if by_bytes:
            self.bytes = max(1, min(self.bytes, size // 2))
        else:
            self.messages = max(1, min(self.messages, messages // 2))

    def poisoned(self, messages: int, size: int) -> None:
        """One of so many was refused, nobody knows which. Parts of an earlier request say nothing of the size of the next one."""
        if messages * 2 > self.messages or size * 2 > self.bytes:
            self.messages = max(1, min(self.messages, messages // 2))

    def restart(self) -> None:
        """The API is not well: once it is, requests grow from one message on."""
        self.messages = 1
