"""A sandbox on a port of its own, and clients for it.

In: a configuration. Out: a running sandbox, HTTP clients with its tokens, raw sockets. Never: a look at its inside.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson

from qboxrelay.sandbox.config import SandboxConfig
from qboxrelay.sandbox.server import SandboxServer

SEND_TOKEN = SandboxConfig().send_token


class Client:
    """What a test does with a sandbox."""

    def __init__(self, server: SandboxServer) -> None:
        self.port = server.port
        self.http = httpx.Client(base_url=server.base_url, trust_env=False, timeout=60)
        self._management = {"X-Api-Token": server.management_token}

    def send(self, *messages: Any, token: str = SEND_TOKEN) -> httpx.Response:
        return self.post({"messages": list(messages)}, token=token)

    def post(self, body: Any, *, token: str = SEND_TOKEN) -> httpx.Response:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.http.post("/v1/send", content=content, headers={"Authorization": f"Bearer {token}"})

    def manage(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(f"/api/delivery/{path}", params=query, headers=self._management)

    def manage_post(self, path: str, body: Any) -> httpx.Response:
        return self.http.post(f"/api/delivery/{path}", json=body, headers=self._management)

    def messages(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/sandbox/messages", params=query).json()
        return found

    def requests(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/sandbox/requests", params=query).json()
        return found

    def fault(self, **rule: Any) -> None:
        self.http.post("/sandbox/faults", json=rule).raise_for_status()

    def switch(self, **values: Any) -> None:
        self.http.put("/sandbox/switches", json=values).raise_for_status()

    def raw(self, body: bytes) -> bytes:
        """POST over a plain socket; everything that comes back until the connection ends. Raises ConnectionError for a reset."""
        head = f"POST /v1/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SEND_TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(head.encode() + body)
            while chunk := connection.recv(65536):
                got += chunk
        return got


@contextmanager
def serving(**config: Any) -> Iterator[Client]:
    """A sandbox in a thread, as long as the `with` lasts."""
    ready, done = threading.Event(), threading.Event()
    servers: list[SandboxServer] = []
    thread = threading.Thread(target=asyncio.run, args=(_serve(SandboxConfig(port=0, **config), servers, ready, done),))
    thread.start()
    ready.wait(60)
    client = Client(servers[0])
    try:
        yield client
    finally:
        client.http.close()
        done.set()
        thread.join(60)


async def _serve(
    config: SandboxConfig, servers: list[SandboxServer], ready: threading.Event, done: threading.Event
) -> None:
    server = SandboxServer(config)
    await server.start()
    servers.append(server)
    ready.set()
    await asyncio.to_thread(done.wait)
    await server.stop()


def message(**changes: Any) -> dict[str, Any]:
    """A message that the Send API takes; a change to `...` leaves the field out."""
    whole = {"from": "Ann <ann@example.com>", "to": ["bob@example.net"], "subject": "Hello", "text_body": "It works."}
    return {name: value for name, value in (whole | changes).items() if value is not ...}
