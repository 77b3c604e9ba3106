"""A way to a server that breaks when told to: it resets, refuses or swallows, at once or when a given text passes.

In: a server's port, words of a test. Out: the same bytes, or not. Never: an understanding of what passes.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.processes import HOST, free_port

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Cut:
    """What ends a connection: a text from the client. `passes`: the server gets it, and its answer is what is lost."""

    text: bytes
    passes: bool
    times: int


class TcpProxy:
    """On a port of its own. Its methods may be called from any thread."""

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        self.cuts = 0
        """How many connections a text has ended."""
        self._server_port = server_port
        self._cut: Cut | None = None
        self._refusing = False
        self._passing: asyncio.Event
        self._answering: asyncio.Event
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._ended: asyncio.Event
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()], daemon=True)
        self._thread.start()
        assert self._started.wait(60)

    def heal(self) -> None:
        """Pass everything on again, also what was swallowed."""
        self._refusing, self._cut = False, None
        self._loop.call_soon_threadsafe(self._passing.set)
        self._loop.call_soon_threadsafe(self._answering.set)

    def swallow(self) -> None:
        """Connections stay open, and nothing comes through."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    @property
    def swallows(self) -> bool:
        """From now on, or until it was healed."""
        return not self._passing.is_set()

    def hold_answers(self) -> None:
        """The server hears all, and nobody hears the server."""
        self._loop.call_soon_threadsafe(self._answering.clear)

    def reset(self) -> None:
        """End every connection there is; new ones are made."""
        self._loop.call_soon_threadsafe(self._reset)

    def refuse(self) -> None:
        """End every connection there is and those that are made."""
        self._refusing = True
        self.reset()

    def cut(self, text: bytes, *, passes: bool, times: int = 1) -> None:
        self._cut = Cut(text, passes, times)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(60)
        self._loop.close()

    @property
    def looked_for(self) -> Cut | None:
        return self._cut

    def take(self, data: bytes) -> Cut | None:
        """The cut that these bytes of a client mean, once for each of its times."""
        cut = self._cut
        if cut is None or not cut.times or cut.text not in data:
            return None
        cut.times -= 1
        self.cuts += 1
        return cut

    async def passing(self) -> None:
        await self._passing.wait()

    async def answering(self) -> None:
        await self._passing.wait()
        await self._answering.wait()

    async def _run(self) -> None:
        self._passing, self._answering, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._passing.set()
        self._answering.set()
        server = await asyncio.start_server(self._accept, HOST, self.port)
        self._started.set()
        await self._ended.wait()
        server.close()
        self._passing.set()
        self._reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _reset(self) -> None:
        for connection in list(self._connections):
            connection.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            if self._refusing:
                connection.reset()
            else:
                await connection.run(self._server_port)
        finally:
            self._connections.discard(connection)


class _Connection:
    def __init__(self, proxy: TcpProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writers = [writer]
        self._cut = False

    async def run(self, port: int) -> None:
        with contextlib.suppress(OSError):
            answers, requests = await asyncio.open_connection(HOST, port)
            self._writers.append(requests)
            ways = [
                asyncio.ensure_future(self._requests(self._reader, requests)),
                asyncio.ensure_future(self._answers(answers, self._writers[0])),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        self.reset()

    def reset(self) -> None:
        for writer in self._writers:
            taken: socket.socket | None = writer.get_extra_info("socket")
            if taken is not None:
                with contextlib.suppress(OSError):
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen, looked_for = b"", self._proxy.looked_for
        while data := await reader.read(_CHUNK):
            await self._proxy.passing()
            if looked_for is not self._proxy.looked_for:
                # What passed before is not what is meant.
                seen, looked_for = b"", self._proxy.looked_for
            seen = seen[-1000:] + data
            cut = self._proxy.take(seen)
            if cut is not None:
                seen = b""
                if not cut.passes:
                    return
                self._cut = True
            writer.write(data)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._proxy.answering()
            if self._cut:
                return
            writer.write(data)
            await writer.drain()


@contextmanager
def tcp_proxy(server_port: int) -> Iterator[TcpProxy]:
    proxy = TcpProxy(server_port)
    try:
        yield proxy
    finally:
        proxy.close()
