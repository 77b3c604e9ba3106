"""What clients may take of a door, and of the relay's memory.

In: connections, messages, recipients and bytes as they come. Out: whether there is room. Never: a table that grows with the number
of clients that have been here; it holds those that are here now, and those of the running minute.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from qboxrelay.model.clock import Clock

_MINUTE = 60.0
_COPIES = 1


class Memory:
    """Bytes of all messages that are being received or stored."""

    def __init__(self, limit: int, others: Callable[[], int] = lambda: 0) -> None:
        """`others`: bytes that other processes hold, which count as well."""
        self.limit = limit
        self.used = 0
        self._others = others
        self.copies = asyncio.Semaphore(_COPIES)
        """For those who need a large message twice for a moment."""

    def take(self, size: int) -> bool:
        """Whether so many more bytes fit; if so they are taken."""
        if self.used + self._others() + size > self.limit:
            return False
        self._hold(size)
        return True

    def give(self, size: int) -> None:
        self._hold(-size)

    def _hold(self, size: int) -> None:
        self.used += size


class Share:
    """One message's part of the memory: what it announced at once, beyond that what arrives."""

    __slots__ = ("_arrived", "_memory", "_taken")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._taken = 0
        self._arrived = 0

    def reserve(self, size: int) -> bool:
        """Take what the message will need; False when there is no room."""
        if not self._memory.take(size):
            return False
        self._taken += size
        return True

    def arrived(self, size: int) -> bool:
        """Count what has come; False when it is more than there is room for."""
        self._arrived += size
        missing = self._arrived - self._taken
        return missing <= 0 or self.reserve(missing)

    def release(self) -> None:
        self._memory.give(self._taken)
        self._taken = self._arrived = 0


class PerClient:
    """Connections of each client that is here."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """Count a connection; False when the client has too many."""
        self._open[client] += 1
        return not self.limit or self._open[client] <= self.limit

    def leave(self, client: str) -> None:
        self._open[client] -= 1
        if self._open[client] <= 0:
            del self._open[client]


class PerMinute:
    """Events of each client within a minute by the clock; 0 is no limit."""

    def __init__(self, limit: int, clock: Clock, counted: Callable[[str], None] = lambda _client: None) -> None:
        """`counted` hears of each event, for other processes that count the same."""
        self.limit = limit
        self._clock = clock
        self._told = counted
        self._minute = 0.0
        self._counted: Counter[str] = Counter()

    def allow(self, client: str) -> bool:
        """Count one event; False, and not counted, when the client has had its number."""
        if not self.limit:
            return True
        self._turn()
        if self._counted[client] >= self.limit:
            return False
        self._counted[client] += 1
        self._told(client)
        return True

    def elsewhere(self, client: str) -> None:
        """Another process counted one event."""
        if self.limit:
            self._turn()
            self._counted[client] += 1

    def _turn(self) -> None:
        minute = self._clock.monotonic() // _MINUTE
        if minute != self._minute:
            self._minute = minute
            self._counted.clear()
