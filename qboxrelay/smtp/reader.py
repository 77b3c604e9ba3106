"""Bytes of one connection, as command lines and as the content of a mail.

In: chunks from the stream. Out: a line, or a content. Never: more in memory than the limits allow, or an end of content other than
CRLF.CRLF: a bare LF or CR before the dot is how mail is smuggled (CVE-2024-27305).
"""

import asyncio
from collections.abc import Callable

from qboxrelay.smtp.content import Content, ContentReader, TooLarge, whole_content
from qboxrelay.smtp.pace import Pace

_HIGH_WATER = 1 << 17
"""Bytes that may wait to be read before the client is held back."""
_USUAL_LINE = 512
"""RFC 5321 §4.5.3.1.4."""
Received = Callable[[bytes], None]
"""Given each piece; may raise to end the reading."""


class LineTooLong(Exception):  # noqa: N818 - what the client did
    """A command line passed the limit; it has been read to its end."""


class Disconnected(Exception):  # noqa: N818 - what the client did
    """The client went away."""


class Reader:
    """Reads one connection.

    It is fed by the protocol itself: an `asyncio.StreamReader` between them would copy every byte twice more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pace: Pace) -> None:
        """`pace` says when one that was held back reads on."""
        self._loop = loop
        self._pace = pace
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False
        self._searched = 0
        self._too_long = False
        self._transport: asyncio.ReadTransport | None = None
        self._paused = False
        self._asked = False
        self._skipping = False
        self._skipped = 0
        self._limits: tuple[int, int] | None = None
        """Of the content that is being received, and of its lines."""
        self._content: ContentReader | None = None
        """When the content comes in pieces."""

    # --- what the protocol calls

    def attach(self, transport: asyncio.ReadTransport) -> None:
        """From now on this is what is held back when too much waits."""
        self._transport = transport

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        if self._skipping:
            self._skipped += len(data)
            self._wake()
            return
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self) -> None:
        """No more will come."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- what the session calls

    @property
    def begun(self) -> bool:
        """Whether a line has begun without being here whole."""
        return bool(self._buffer) or self._too_long

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits here to be read, or to be let in, and more may come."""
        return not (self._buffer or self._too_long or self._paused or self.ended)

    def begins_with(self, start: bytes) -> bool:
        """Whether the next line begins so, be it whole or not."""
        return self._buffer.startswith(start)

    def discard(self) -> None:
        """Forget what was received: after STARTTLS nothing that came in clear text counts (RFC 3207 §4.2)."""
        self._buffer.clear()
        self._searched = 0
        # At once: another transport may come before its turn.
        self._read_on()

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its end, if it is here; LF alone ends a command line, too. Raises `LineTooLong`."""
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            if len(self._buffer) > limit:
                self._buffer.clear()
                self._too_long = True
            self._searched = len(self._buffer)
            self.resume()
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        if self._too_long or end > limit:
            self._too_long = False
            raise LineTooLong
        return line.removesuffix(b"\r")

    async def line(self, limit: int) -> bytes:
        """The next line, as `take_line` has it. Raises `LineTooLong`, `Disconnected`."""
        while (line := self.take_line(limit)) is None:
            await self._fill()
        return line

    def only_line(self, data: bytes) -> bytes | None:
        """The line that `data` is, which has just come and is all that is here: mostly so, and then it needs no buffer. None: `feed` it."""
        if self._buffer or self._too_long or self._paused or len(data) > _USUAL_LINE:
            return None
        return data[:-2] if data.endswith(b"\r\n") and data.find(b"\n") == len(data) - 1 else None

    def begin_content(self, limit: int, line_limit: int) -> int:
        """What follows is content of at most `limit` bytes; how many bytes of it are here already."""
        self._searched = 0
        self._limits = limit, line_limit
        return len(self._buffer)

    def only_content(self, data: bytes) -> bytes | None:
        """The content that `data` is, as `only_line`, where nothing in it is out of the ordinary."""
        if self._limits is None or self._content is not None or self._buffer or self._paused:
            return None
        return whole_content(data, *self._limits)

    def take_content(self) -> Content | None:
        """The content, if its end is here. Raises `TooLarge`."""
        if self._content is None:
            assert self._limits is not None, "begin_content comes first"
            self._content = ContentReader(*self._limits)
            self._buffer[:0] = b"\r\n"
        try:
            content = self._content.take(self._buffer)
        except TooLarge:
            self.drop_content()
            raise
        if content is None:
            self.resume()
        else:
            self.drop_content()
        return content

    def drop_content(self) -> None:
        """Hold on to no part of it."""
        self._limits = self._content = None

    def forget(self) -> None:
        """Nobody reads on: what has come is not to wait until somebody looks for cycles, of which connections are part."""
        self.drop_content()
        self._buffer.clear()
        self._transport = None

    async def octets(self, count: int, received: Received) -> None:
        """Exactly so many octets, as they are (RFC 3030). Raises `Disconnected`, and what `received` raises."""
        while count:
            part = await self._part(count)
            received(part)
            count -= len(part)

    async def _part(self, most: int) -> bytes:
        if not self._buffer:
            await self._fill()
        part = bytes(self._buffer[:most])
        del self._buffer[:most]
        return part

    async def skip(self, count: int) -> None:
        """Read for nothing, up to so many bytes, until the client ends: the connection is of no other use afterwards."""
        self.discard()
        self._skipping = True
        while self._skipped < count and not self.ended:
            self._waiter = self._loop.create_future()
            await self._waiter

    async def _fill(self) -> int:
        """Wait for more; how many bytes it is."""
        before = len(self._buffer)
        self.resume()
        if self.ended:
            raise Disconnected
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if len(self._buffer) == before:
            raise Disconnected
        return len(self._buffer) - before

    def resume(self) -> None:
        """Let in more, when it is this connection's turn; nothing of what is here is enough."""
        if self._paused and not self._asked:
            self._asked = True
            self._pace.let(self._read_on)

    def _read_on(self) -> None:
        self._asked = False
        if self._paused and self._transport is not None:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
