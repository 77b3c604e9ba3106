"""Answers that do not follow HTTP: cut, withheld, dripping, endless.

In: bytes, a connection. Out: what the client sees of them. Never: an answer that the HTTP server could complete; each ends when the client
is gone.
"""

import asyncio
from abc import ABC, abstractmethod

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from qboxrelay.sandbox.connections import Wire, gone, wire_of
from qboxrelay.sandbox.state import State

CHUNK = b"0" * 65536


class Unfinished(Response, ABC):
    """Writes to the connection itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the HTTP server's way is not taken
        wire = wire_of(scope)
        await self.perform(wire, receive)
        wire.close()
        await gone(receive)

    @abstractmethod
    async def perform(self, wire: Wire, receive: Receive) -> None: ...


class Hanging(Unfinished):
    """Never answers; the connection ends when the client or the server gives up."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._closing = state.closing

    async def perform(self, wire: Wire, receive: Receive) -> None:
        waiting = [asyncio.ensure_future(gone(receive)), asyncio.ensure_future(self._closing.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        wire.reset()


class Reset(Unfinished):
    """Ends the connection without a word."""

    async def perform(self, wire: Wire, _receive: Receive) -> None:
        wire.reset()


class Cut(Unfinished):
    """Sends some bytes and ends the connection."""

    def __init__(self, first: bytes) -> None:
        super().__init__()
        self._first = first

    async def perform(self, wire: Wire, _receive: Receive) -> None:
        await wire.write(self._first)


class Early(Unfinished):
    """Sends a whole answer before the body was read, and then only listens."""

    def __init__(self, whole: bytes) -> None:
        super().__init__()
        self._whole = whole

    async def perform(self, wire: Wire, receive: Receive) -> None:
        if await wire.write(self._whole):
            wire.half_close()
            await gone(receive)


class Dripping(Unfinished):
    """Sends a whole answer, one byte at a time."""

    def __init__(self, whole: bytes, seconds: float, state: State) -> None:
        super().__init__()
        self._whole = whole
        self._seconds = seconds
        self._state = state

    async def perform(self, wire: Wire, _receive: Receive) -> None:
        for start in range(len(self._whole)):
            if not await wire.write(self._whole[start : start + 1]) or self._state.closing.is_set():
                return
            await self._state.pause(self._seconds)


class Flooding(Unfinished):
    """Sends a beginning and then zeros, far too many."""

    def __init__(self, first: bytes, size: int) -> None:
        super().__init__()
        self._first = first
        self._size = size

    async def perform(self, wire: Wire, _receive: Receive) -> None:
        going = await wire.write(self._first)
        for _ in range(self._size // len(CHUNK) + 1):
            if not going:
                return
            going = await wire.write(CHUNK)
