"""The HTTP server, inside the daemon's own event loop.

In: an ASGI application and an address. Out: a listening server. Never: signal handlers of its own; the service has them.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta
from email.utils import formatdate

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from qboxrelay.settings.types import SocketAddress


class _State(ServerState):
    """With a Date that is made for each request: uvicorn makes one every second, whether anybody asks or not."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"date", formatdate(usegmt=True).encode())]

    @default_headers.setter
    def default_headers(self, _headers: list[tuple[bytes, bytes]]) -> None:
        """uvicorn's beginning, without any."""


class _Server(uvicorn.Server):
    """uvicorn's, without the ten looks a second at whether it is to end: an idle relay sleeps."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _State()
        self._end = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._end.set()

    async def main_loop(self) -> None:
        await self._end.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves one application. `start` binds, `stop` lets requests under way finish."""

    def __init__(self, app: ASGIApp, address: SocketAddress) -> None:
        self._address = address
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                # Or it would believe X-Forwarded-For from loopback, and who asks could say that a trusted proxy does.
                proxy_headers=False,
                limit_concurrency=200,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self.port = address.port

    async def start(self, inherited: socket.socket | None = None) -> None:
        """Listen, on a socket that the service manager opened where there is one. Raises OSError when the address cannot be used; its text
        says which key names it.
        """
        listening = inherited or self._bind()
        # Accepted sockets inherit it; asyncio sets it only where proto is TCP.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="status")

    async def stop(self, grace: timedelta) -> None:
        """Let requests under way finish within `grace`, which counts in whole seconds; then cut them off."""
        if self._task is not None:
            self._server.config.timeout_graceful_shutdown = int(grace.total_seconds())
            self._server.end()
            await self._task

    def _bind(self) -> socket.socket:
        wanted = self._address
        family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
        try:
            return socket.create_server((wanted.host, wanted.port), family=family)
        except OSError as error:
            text = f"status: cannot listen on {wanted}: {error.strerror}; set another address in [status]"
            raise OSError(error.errno, text) from error
