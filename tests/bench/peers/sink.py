"""Where the relays send to: HTTP that answers as documented and counts, as little work as asyncio allows.

In: POSTs of `{"messages": […]}`, or of one message. Out: 202 with an entry for each; `GET /` says how many messages came.
"""

import asyncio
import sys
from typing import Any, cast

import orjson
import uvloop

from tests.support.processes import HOST


class Sink(asyncio.Protocol):
    """One connection; requests follow one another."""

    count = 0

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get"):
            content = str(Sink.count).encode()
        else:
            messages = orjson.loads(body).get("messages", [{}])
            Sink.count += len(messages)
            entries = [_entry(message, f"{Sink.count}-{n}@sink") for n, message in enumerate(messages)]
            content = orjson.dumps({"error_code": 0, "message": "OK", "request_id": "r", "messages": entries})
        status = b"200 OK" if head.startswith(b"get") else b"202 Accepted"
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(content), content)
        )


def _entry(message: dict[str, Any], message_id: str) -> dict[str, Any]:
    """As the published example has it: one address of the message, as text."""
    to = message.get("to", "")
    first = to[0] if isinstance(to, list) else to
    address = first["address"] if isinstance(first, dict) else first
    return {"error_code": 0, "message_id": message_id, "to": address}


async def serve(port: int) -> None:
    await asyncio.get_running_loop().create_server(Sink, HOST, port, backlog=511)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
