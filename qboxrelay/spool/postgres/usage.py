"""How full the spool is, and whether more may come in.

In: figures of all nodes as they were read, and what this node did since. Out: admission, `SpoolFull`. Never: a read for each mail: between two
looks the other nodes may add to what is allowed, as much as they take in that time.
"""

import asyncio
from collections.abc import Awaitable, Callable

from qboxrelay.model.submission import State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolFull

WAITING = frozenset({State.QUEUED, State.SENDING, State.HELD})
"""States that the limits count."""

_LOOK_SECONDS = 0.25
"""While the spool is full, mail that is refused does not make it look more often."""
_OLD_SECONDS = 1.0
"""Figures of this age are looked at again beside the mail that comes: what other nodes took, and what this one sent of it, makes them wrong."""

Read = Callable[[], Awaitable[tuple[int, int]]]
"""Messages and bytes that wait, over all nodes."""


class Usage:
    """Figures of what waits. `read` looks at those of all nodes."""

    def __init__(self, settings: SpoolSettings, *, read: Read) -> None:
        self._settings = settings
        self._read = read
        self._messages = self._bytes = 0
        self._admitted_messages = self._admitted_bytes = 0
        self._looking: asyncio.Task[None] | None = None
        self._look_again_at = 0.0

    async def admit(self, messages: int, size: int) -> None:
        """Count it as coming. Raises `SpoolFull` after a look at how it is now."""
        now = asyncio.get_running_loop().time()
        if self._full(messages, size) is None:
            if now >= self._look_again_at + _OLD_SECONDS:
                self._begin_look().add_done_callback(_without_a_word)
        elif now >= self._look_again_at:
            await self.refresh()
        if (limit := self._full(messages, size)) is not None:
            raise SpoolFull(limit)
        self._admitted_messages += messages
        self._admitted_bytes += size

    def release(self, messages: int, size: int, *, stored: bool) -> None:
        """What was admitted is stored, or is not."""
        self._admitted_messages -= messages
        self._admitted_bytes -= size
        if stored:
            self.count(messages, size)

    def count(self, messages: int, size: int) -> None:
        """This node's own changes of what waits."""
        self._messages += messages
        self._bytes += size

    async def refresh(self) -> None:
        """Look at the figures of all nodes; callers at the same time share one look. What this node stores meanwhile may count twice, until
        the next look: a limit may refuse too early, not too late.
        """
        await asyncio.shield(self._begin_look())

    def _begin_look(self) -> "asyncio.Task[None]":
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="spool-usage")
        return self._looking

    async def _look(self) -> None:
        before = (self._messages, self._bytes)
        try:
            messages, size = await self._read()
            self._messages = messages + max(0, self._messages - before[0])
            self._bytes = size + max(0, self._bytes - before[1])
        finally:
            self._looking = None
            self._look_again_at = asyncio.get_running_loop().time() + _LOOK_SECONDS

    def _full(self, messages: int, size: int) -> str | None:
        settings = self._settings
        if self._messages + self._admitted_messages + messages > settings.max_messages:
            return f"max_messages = {settings.max_messages} is reached"
        if self._bytes + self._admitted_bytes + size > settings.max_bytes:
            return f"max_bytes = {int(settings.max_bytes)} is reached"
        return None


def _without_a_word(look: "asyncio.Task[None]") -> None:
    """That the server is away is told by the mail that cannot be stored."""
    if not look.cancelled():
        look.exception()
