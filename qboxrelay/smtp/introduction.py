"""Connections that begin with a PROXY header, with TLS, or both: accepted here, introduced, then given to a session.

In: a listening socket. Out: sessions that know their client. Never: a byte of TLS read with the header, a header from a stranger, a
connection that takes its time, more handshakes at a time than there may be connections.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

import structlog

from qboxrelay.policy.networks import Networks
from qboxrelay.smtp.proxy import Peer, ProxyError, read_proxy_header

log = structlog.get_logger()

_HEADER_SECONDS = 10.0
_ACCEPT_PAUSE_SECONDS = 1.0
"""After accept failed for want of file descriptors: there is nothing to do but wait for some."""


class Introductions:
    """Accepts until it is closed. At most `limit` connections are being introduced at a time."""

    def __init__(
        self,
        listening: socket.socket | None,
        *,
        trusted: Networks | None,
        factory: Callable[[Peer | None], asyncio.BaseProtocol],
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
        failed: Callable[[], None],
        tls_failed: Callable[[], None],
        limit: int,
    ) -> None:
        """`trusted` may send PROXY headers, and must; None: there are none, clients speak for themselves. Without `listening` connections come
        by `take`.
        """
        self._listening = listening
        self._trusted = trusted
        self._factory = factory
        self._tls = tls
        self._handshake_seconds = handshake_seconds if tls is not None else None
        self._failed = failed
        self._tls_failed = tls_failed
        self._room = asyncio.Semaphore(limit)
        self._under_way: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        if listening is not None:
            listening.setblocking(False)
            self._accepting = asyncio.create_task(self._accept(listening), name="introductions")

    def take(self, connection: socket.socket, peer: str) -> asyncio.Task[None]:
        """A connection that was accepted elsewhere, where it counted for the limit."""
        return self._begin(connection, peer)

    def retire(self) -> None:
        """Accept no more; who is being introduced may go on."""
        if self._accepting is not None:
            self._accepting.cancel()
        self._close_socket()

    async def close(self) -> None:
        """Accept and introduce no more."""
        tasks = [*self._under_way, *([self._accepting] if self._accepting is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._close_socket()

    def _close_socket(self) -> None:
        if self._listening is not None:
            self._listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                connection, peer = await loop.sock_accept(listening)
            except OSError as error:
                self._room.release()
                log.warning("listener.cannot_accept", error=error.strerror)
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            self._begin(connection, str(peer[0])).add_done_callback(lambda _task: self._room.release())

    def _begin(self, connection: socket.socket, peer: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._introduce(connection, peer))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _introduce(self, connection: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as unless_handed_over:
            unless_handed_over.callback(connection.close)
            try:
                client = await self._header(connection, peer, self._trusted) if self._trusted is not None else None
                await loop.connect_accepted_socket(
                    lambda: self._factory(client),
                    connection,
                    ssl=self._tls,
                    ssl_handshake_timeout=self._handshake_seconds,
                )
            except (ProxyError, EOFError) as error:
                self._failed()
                log.warning("proxy.refused", proxy=peer, error=str(error))
                return
            except OSError as error:
                self._tls_failed()
                log.warning("tls.handshake_failed", peer=peer, error=type(error).__name__)
                return
            unless_handed_over.pop_all()

    async def _header(self, connection: socket.socket, proxy: str, trusted: Networks) -> Peer | None:
        if proxy not in trusted:
            raise ProxyError("the address is not among trusted_proxies")
        loop = asyncio.get_running_loop()

        async def exactly(count: int) -> bytes:
            data = b""
            while len(data) < count:
                more = await loop.sock_recv(connection, count - len(data))
                if not more:
                    raise EOFError("the connection ended within the PROXY header")
                data += more
            return data

        try:
            async with asyncio.timeout(_HEADER_SECONDS):
                return await read_proxy_header(exactly)
        except TimeoutError:
            raise ProxyError("no PROXY header in time") from None
