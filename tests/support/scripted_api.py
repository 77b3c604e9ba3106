"""A Send API written byte by byte: it does what a script says, also what no HTTP server would do.

In: steps, one for each request in the order they arrive; after the last one every request is accepted. Out: what was received
and what counts as accepted, also when the answer was withheld. Never: anything of the relay's own code.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections import Counter, deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one request meets. `body` None is the documented answer; `accept` counts the messages as accepted."""

    status: int = 202
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    accept: bool = False
    ending: str = "answer"
    """`answer`; or the connection ends `before_body`, `after_body`, `in_status`, `after_headers`, `in_body`, or by a `reset`; or it `hangs`, `drips`,
    sends `endless` body; `early` answers without reading the body; `then_close` answers and closes."""
    seconds: float = 0.0
    """How long it thinks before it answers."""
    subject: str | None = None
    """Only for requests that carry a message with this subject; stays in force for all of them."""


ACCEPT = Step(accept=True)


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came."""

    line: str
    headers: dict[str, str]
    subjects: tuple[str, ...]
    at: float
    body: bytes = b""


class ScriptedApi:
    """Serves on a port of its own while the `async with` lasts."""

    def __init__(self, *steps: Step, host: str = _HOST, tls: ssl.SSLContext | None = None) -> None:
        self._steps = deque(step for step in steps if step.subject is None)
        self._standing = [step for step in steps if step.subject is not None]
        self._serving: dict[asyncio.Task[None], asyncio.WriteTransport] = {}
        self.requests: list[Received] = []
        self.accepted: Counter[str] = Counter()
        self.connections = 0
        self.port = 0
        self._host = host
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task, transport in self._serving.items():
            task.cancel()
            transport.abort()  # a task cancelled before its first step runs no `finally`
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def base_url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/v1"

    def script(self, *steps: Step) -> None:
        """Add to what the next requests meet."""
        self._steps.extend(steps)

    def recover(self) -> None:
        """From now on every request is accepted, but for those with a subject of their own."""
        self._steps.clear()

    def stand(self, *steps: Step) -> None:
        """What is in force for subjects from now on, instead of what was."""
        self._standing = list(steps)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._connection(reader, writer))
        self._serving[task] = writer.transport

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._request(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False when the connection is to end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        waiting = self._steps[0] if self._steps else ACCEPT
        if waiting.ending in {"before_body", "early"}:
            self._steps.popleft()
            self.requests.append(Received(head[0], headers, (), asyncio.get_running_loop().time()))
            await self._answer(writer, waiting, [])
            return False
        body = await reader.readexactly(int(headers["content-length"]))
        messages = json.loads(body)["messages"]
        subjects = tuple(message["subject"] for message in messages)
        self.requests.append(Received(head[0], headers, subjects, asyncio.get_running_loop().time(), body))
        step = next((s for s in self._standing if s.subject in subjects), None)
        step = step or (self._steps.popleft() if self._steps else ACCEPT)
        if step.accept:
            self.accepted.update(subjects)
        return await self._answer(writer, step, messages)

    async def _answer(self, writer: asyncio.StreamWriter, step: Step, messages: list[dict[str, Any]]) -> bool:
        if step.ending == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if step.ending in {"before_body", "after_body", "reset"}:
            return False
        if step.ending == "hangs":
            await asyncio.Event().wait()
        await asyncio.sleep(step.seconds)
        body = step.body if step.body is not None else documented(step.status, messages)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **step.headers}
        if step.ending == "endless":
            del headers["Content-Length"]
        lines = [f"HTTP/1.1 {step.status} Word", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        answer = "\r\n".join(lines).encode()
        await self._write(writer, step.ending, answer, body)
        return step.ending == "answer"

    async def _write(self, writer: asyncio.StreamWriter, ending: str, head: bytes, body: bytes) -> None:
        cut = {"in_status": head[:9], "after_headers": head, "in_body": head + body[: len(body) // 2]}
        writer.write(cut.get(ending, head + body))
        while ending == "drips":
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(b" ")
        while ending == "endless":
            writer.write(b"x" * 65536)
            await writer.drain()
        await writer.drain()
        if ending != "answer":
            writer.write_eof()
            await asyncio.sleep(0.01)


def documented(status: int, messages: list[dict[str, Any]]) -> bytes:
    """The answer in the shape of the API's documentation: of a 202, or of an error."""
    if 200 <= status < 300:
        entries = [
            {
                "error_code": 0,
                "message": "OK",
                "request_id": "r-1",
                "message_id": f"{message['subject']}@id",
                **_to(message),
            }
            for message in messages
        ]
        answer: dict[str, Any] = {
            "error_code": 0, "message": "OK", "request_id": "r-1", "queued_messages": len(entries), "messages": entries,
        }  # fmt: skip
        return json.dumps(answer).encode()
    error = {"error_code": status, "message": f"words for {status}", "error": f"slug_{status}", "request_id": "r-1"}
    return json.dumps(error).encode()


def _to(message: dict[str, Any]) -> dict[str, str]:
    to = message.get("to")
    first = to[0] if isinstance(to, list) and to else to
    return {"to": first} if isinstance(first, str) else {}
