"""The body of a `POST /v1/send`: read, decoded once, checked.

In: a request. Out: its messages, or the problem with it. Never: more in memory than the documented limit.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from qboxrelay.sandbox.check import check_message
from qboxrelay.sandbox.errors import Problem
from qboxrelay.sandbox.switches import Switches


@dataclass(frozen=True, slots=True)
class Payload:
    """`messages` is what stood in the array, also when `problem` says why it cannot be taken."""

    size: int
    messages: list[Any]
    problem: Problem | None = None


async def read_payload(request: Request, *, max_bytes: int) -> Payload:
    """Reads to the end, so that the client gets its answer, but keeps no more than `max_bytes`."""
    body, size = bytearray(), 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= max_bytes:
                body += chunk
    except ClientDisconnect:
        return Payload(size, [], Problem("invalid_json", "The client left before the end of the body."))
    if size > max_bytes:
        return Payload(size, [], Problem("payload_too_large", f"The payload is larger than {max_bytes} bytes."))
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Payload(size, [], Problem("invalid_json", "The request body is not JSON."))
    messages = decoded.get("messages") if isinstance(decoded, dict) else None
    if not isinstance(messages, list) or not messages:
        text = "Request body must include a non-empty `messages` array."
        return Payload(size, [], Problem("missing_send_payload", text))
    return Payload(size, messages)


def check_payload(payload: Payload, *, max_messages: int, switches: Switches) -> Problem | None:
    """The first problem of the request as a whole, else of one of its messages."""
    if payload.problem is not None:
        return payload.problem
    if len(payload.messages) > max_messages:
        return Problem("too_many_messages", f"A request holds up to {max_messages} messages.")
    for position, message in enumerate(payload.messages):
        problem = check_message(message, switches)
        if problem is not None:
            return Problem("invalid_message", f"messages[{position}]: {problem}")
    return None
