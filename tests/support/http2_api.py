"""A Send API over HTTP/2 and TLS, frame by frame.

In: steps, one for each request in the order they end; after the last one every request is accepted. Out: what was received, over how many
connections. Never: anything of the relay's own code; HTTP/1.1, unless it is asked to speak nothing else.
"""

import asyncio
import contextlib
import json
import ssl
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events

from tests.support.scripted_api import documented

PEM = Path(__file__).parents[1] / "contract" / "sandbox" / "localhost.pem"
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one request meets: an `answer`; or the stream is `reset`, the server says `goaway` and closes, or it `hangs`."""

    ending: str = "answer"
    status: int = 202
    accept: bool = True
    seconds: float = 0.0


@dataclass(slots=True)
class _Stream:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class Http2Api:
    """Serves on a port of its own while the `async with` lasts."""

    def __init__(self, *steps: Step, protocols: tuple[str, ...] = ("h2",)) -> None:
        self._steps = deque(steps)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(PEM)
        self._tls.set_alpn_protocols(list(protocols))
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.accepted: Counter[str] = Counter()
        self.protocols: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.most_streams = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, _HOST, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def base_url(self) -> str:
        return f"https://{_HOST}:{self.port}/v1"

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.start(self._connection(reader, writer))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something until it or the server ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        self.protocols.append(chosen)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            if chosen == "h2":
                await _Connection(self, reader, writer).run()
        writer.transport.abort()

    def next_step(self) -> Step:
        return self._steps.popleft() if self._steps else Step()

    def received(self, headers: dict[str, str], body: bytes) -> None:
        self.headers.append(headers)
        self.bodies.append(body)


class _Connection:
    """One connection and its streams."""

    def __init__(self, api: Http2Api, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._api = api
        self._reader = reader
        self._writer = writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._streams: dict[int, _Stream] = {}

    async def run(self) -> None:
        self._h2.initiate_connection()
        await self._flush()
        while data := await self._reader.read(65536):
            for event in self._h2.receive_data(data):
                self._take(event)
            await self._flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            pairs = [(_text(name), _text(value)) for name, value in event.headers or []]
            self._streams[event.stream_id or 0] = _Stream(dict(pairs))
            self._api.most_streams = max(self._api.most_streams, len(self._streams))
        elif isinstance(event, h2.events.DataReceived):
            stream_id = event.stream_id or 0
            self._streams[stream_id].body += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._api.start(self._answer(event.stream_id or 0))

    async def _answer(self, stream_id: int) -> None:
        stream, step = self._streams[stream_id], self._api.next_step()
        self._api.received(stream.headers, bytes(stream.body))
        messages = json.loads(stream.body)["messages"]
        if step.accept:
            self._api.accepted.update(message["subject"] for message in messages)
        await asyncio.sleep(step.seconds)
        if step.ending == "hangs":
            return
        if step.ending == "reset":
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif step.ending == "goaway":
            self._h2.close_connection()
        else:
            body = documented(step.status, messages)
            self._h2.send_headers(stream_id, [(":status", str(step.status)), ("content-type", "application/json")])
            self._h2.send_data(stream_id, body, end_stream=True)
        del self._streams[stream_id]
        await self._flush()
        if step.ending == "goaway":
            self._writer.close()

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
