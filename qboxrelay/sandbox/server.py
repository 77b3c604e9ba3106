"""The sandbox as a server, inside the caller's event loop.

In: a configuration. Out: a listening server. Never: signal handlers of its own, but for `run`.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn

from qboxrelay.sandbox.app import SandboxConfig, create_app
from qboxrelay.sandbox.connections import WireProtocol
from qboxrelay.sandbox.state import State

_GRACE_SECONDS = 1


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class SandboxServer:
    """`start` binds and serves, `stop` ends; `base_url` is what a client is given."""

    def __init__(self, config: SandboxConfig) -> None:
        self._app = create_app(config)
        self._config = config
        self._server = _Server(
            uvicorn.Config(
                self._app,
                http=WireProtocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                # A client that keeps an idle connection for longer meets a closed one, as it may with any server.
                timeout_keep_alive=30,
                ssl_certfile=config.certificate,
                ssl_keyfile=config.certificate_key,
                ssl_ca_certs=str(config.client_ca) if config.client_ca else None,
                ssl_cert_reqs=2 if config.client_ca else 0,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self.port = config.port
        self.send_token = config.send_token
        self.management_token = config.management_token

    @property
    def base_url(self) -> str:
        """Without /v1 and /api."""
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        return f"{'https' if self._config.certificate else 'http'}://{host}:{self.port}"

    async def start(self) -> None:
        """Raises OSError when the address cannot be used; nothing was started then."""
        family = socket.AF_INET6 if ":" in self._config.host else socket.AF_INET
        listening = socket.create_server((self._config.host, self._config.port), family=family, backlog=512)
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="sandbox")

    async def stop(self) -> None:
        """Ends faults that wait on purpose, then lets requests under way finish within the grace."""
        if self._task is not None:
            state: State = self._app.state.sandbox
            state.closing.set()
            self._server.should_exit = True
            await self._task
            self._task = None


def run(config: SandboxConfig) -> None:
    """Serve until SIGINT or SIGTERM."""
    asyncio.run(_run(config))


async def _run(config: SandboxConfig) -> None:
    stopping = asyncio.Event()
    server = SandboxServer(config)
    await server.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()
    await server.stop()
