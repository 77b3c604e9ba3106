"""Two processes of one relay talk: frames on a socket, questions and their answers, and news that nobody answers.

    frame = kind (1) · number (4) · size of the body (4) · body

A question's number comes back with its answer. A long body travels in pieces, so that others pass between them.

In: bodies of bytes. Out: the same on the other side, in order for each number. Never: a question that waits for ever when the other process is
gone; bytes in memory without end when it does not read.
"""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import cast

_HEAD = struct.Struct("!BII")
_MORE = 0x80
"""On the kind of a piece that is not the last."""
_PIECE = 262_144


class Kind(IntEnum):
    """What a frame is. Questions have a number above 0."""

    ANSWER = 1
    REFUSAL = 2
    """An answer, too: why there is none."""

    HELLO = 10
    """News from a worker, the first: the version that it is of."""
    PUT = 11
    """A worker asks: keep these submissions."""
    WAIT = 12
    """A worker asks: what did the API say of these?"""
    FORGET = 13
    """News: nobody waits for a verdict of these any more."""
    SUPPRESSED = 14
    """A worker asks: is this address on the suppression list?"""
    LEFT = 15
    """News: a connection that was handed over has ended."""
    TELL = 16
    """News for all other workers: something that counts for the doors of all."""

    PLAN = 20
    """Main asks: could you take mail on these terms?"""
    ADOPT = 21
    """Main asks: do so from now on."""
    DISCARD = 22
    """News: the terms that were planned will not come."""
    LISTING = 23
    """News: the Management API lists these domains now."""
    METRICS = 24
    """Main asks: what have you counted?"""
    STOP = 25
    """Main asks: close, within so many seconds, and say what you have counted."""
    PING = 26
    """Main asks: are you there?"""


Serve = Callable[[Kind, int, bytes], None]
"""Takes a question, to be answered by its number, or news (0)."""


class Refused(Exception):  # noqa: N818 - an answer
    """The other process could not; the body says why."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body.decode("utf-8", "replace"))
        self.body = body


class ChannelClosed(Exception):  # noqa: N818 - a state
    """The other process is gone, and with it the answer."""


class Channel(asyncio.Protocol):
    """One end. `closed` ends when the other one is gone."""

    def __init__(self, serve: Serve, lost: Callable[[], None] = lambda: None) -> None:
        """`lost` hears that the other process is gone, before those do who wait for its answers."""
        self._serve = serve
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._pieces: dict[tuple[int, int], bytearray] = {}
        self._out: list[bytes] = []
        self._number = 0
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._long = asyncio.Lock()
        self._sending: set[asyncio.Task[None]] = set()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def news(self, kind: Kind, body: bytes = b"") -> None:
        """Say something; it is lost when nobody is there any more."""
        self._send(kind, 0, body)

    def answer(self, number: int, body: bytes = b"") -> None:
        self._send(Kind.ANSWER, number, body)

    def refuse(self, number: int, body: bytes) -> None:
        self._send(Kind.REFUSAL, number, body)

    async def ask(self, kind: Kind, body: bytes = b"") -> bytes:
        """The answer. Raises `Refused`, `ChannelClosed`."""
        if self.closed.done():
            raise ChannelClosed
        self._number = number = self._number % 0xFFFF_FFFF + 1
        self._asked[number] = future = self._loop.create_future()
        try:
            self._send(kind, number, body)
            answer: bytes = await future
            return answer
        finally:
            self._asked.pop(number, None)

    async def gone(self) -> None:
        """Return when the other process is."""
        await asyncio.shield(self.closed)

    def close(self) -> None:
        """What was said before is still sent."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # --- as asyncio sees it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at = 0
        while len(data) - at >= _HEAD.size:
            kind, number, size = _HEAD.unpack_from(data, at)
            if size > _PIECE:
                self._abort()
                return
            end = at + _HEAD.size + size
            if len(data) < end:
                break
            self._received(kind, number, data[at + _HEAD.size : end])
            at = end
        self._rest = data[at:]

    def _abort(self) -> None:
        """What comes is no frame of ours: a process that has lost its mind is not to fill this one's memory."""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        self._lost()
        if not self.closed.done():
            self.closed.set_result(None)
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ChannelClosed())

    # --- frames

    def _received(self, kind: int, number: int, body: bytes) -> None:
        if kind & _MORE:
            self._pieces.setdefault((kind & ~_MORE, number), bytearray()).extend(body)
            return
        before = self._pieces.pop((kind, number), None)
        whole = body if before is None else bytes(before + body)
        if kind > Kind.REFUSAL:
            self._serve(Kind(kind), number, whole)
            return
        future = self._asked.get(number)
        if future is None or future.done():
            return
        if kind == Kind.ANSWER:
            future.set_result(whole)
        else:
            future.set_exception(Refused(whole))

    def _send(self, kind: int, number: int, body: bytes) -> None:
        if len(body) > _PIECE:
            task = self._loop.create_task(self._send_long(kind, number, body))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            return
        if not self._out:
            # What is said in one turn of the loop goes out together.
            self._loop.call_soon(self._flush)
        self._out += (_HEAD.pack(kind, number, len(body)), body)

    async def _send_long(self, kind: int, number: int, body: bytes) -> None:
        # One at a time: what is sent side by side is in memory side by side, on both sides.
        async with self._long:
            whole = memoryview(body)
            for at in range(0, len(body), _PIECE):
                await self._writable.wait()
                piece = bytes(whole[at : at + _PIECE])
                more = _MORE if at + _PIECE < len(body) else 0
                self._send(kind | more, number, piece)
                self._flush()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
