"""The connection under a request, for what no well-behaved server would do.

In: an ASGI scope. Out: its `Wire`. Never: used without a fault rule that asks for it.
"""

import asyncio
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_EXTENSION = "qboxrelay.sandbox.wire"


class Wire:
    """Writes bytes past the HTTP server, and ends the connection."""

    def __init__(self, protocol: H11Protocol) -> None:
        self._protocol = protocol

    async def write(self, data: bytes) -> bool:
        """False when the client is gone."""
        transport = self._protocol.transport
        if transport.is_closing():
            return False
        transport.write(data)
        if self._protocol.flow.write_paused:
            await self._protocol.flow.drain()
        return not transport.is_closing()

    def half_close(self) -> None:
        """Send nothing more, and go on reading; without it, data that was not read turns the end into a reset."""
        transport = self._protocol.transport
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()

    def close(self) -> None:
        """End after what was written."""
        self._protocol.transport.close()

    def reset(self) -> None:
        """End at once with a TCP reset; what was not yet sent is lost."""
        transport = self._protocol.transport
        if transport.is_closing():
            return
        linger_zero = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        transport.abort()


class WireProtocol(H11Protocol):
    """uvicorn's protocol; applications find the connection in their scope."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._served, self.app = self.app, self._serve

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn narrows it, too
        # asyncio sets this only where it made the socket; without it, an answer's body waits for the client's delayed ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("extensions", {})[_EXTENSION] = Wire(self)
        await self._served(scope, receive, send)


def wire_of(scope: Scope) -> Wire:
    wire: Wire = scope["extensions"][_EXTENSION]
    return wire


async def gone(receive: Receive) -> None:
    """Returns when the client is gone; reads what it still sends."""
    while (await receive())["type"] != "http.disconnect":
        continue
