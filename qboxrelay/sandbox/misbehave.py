"""Answers that go wrong on their way.

In: an answer, a rule. Out: a response that does what the rule asks for. Never: a decision about acceptance; that was made before.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from starlette.responses import Response, StreamingResponse

from qboxrelay.sandbox.answers import Answer
from qboxrelay.sandbox.faults import Rule
from qboxrelay.sandbox.state import State
from qboxrelay.sandbox.unfinished import CHUNK, Cut, Dripping, Early, Flooding, Hanging, Reset

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def misbehave(rule: Rule, answer: Answer, state: State) -> Response:
    """The answer, sent as the rule wants it."""
    way = _WAYS.get(rule.action)
    return way(rule, answer, state) if way else answer.response()


def _huge(rule: Rule, answer: Answer, _: State) -> Response:
    return StreamingResponse(_zeros(rule.size), answer.status, answer.headers)


def _gzip_bomb(rule: Rule, answer: Answer, _: State) -> Response:
    return StreamingResponse(_packed_zeros(rule.size), answer.status, {**answer.headers, "content-encoding": "gzip"})


_WAYS: dict[str, Callable[[Rule, Answer, State], Response]] = {
    "hang": lambda _, __, state: Hanging(state),
    "drop": lambda *_: Reset(),
    "drop_after_body": lambda *_: Reset(),
    "early_status": lambda _, answer, __: Early(_head(answer) + answer.body),
    "half_status": lambda *_: Cut(b"HTTP/1.1 20"),
    "headers_only": lambda _, answer, __: Cut(_head(answer)),
    "half_answer": lambda _, answer, __: Cut(_head(answer) + answer.body[: len(answer.body) // 2]),
    "drip": lambda rule, answer, state: Dripping(_head(answer) + answer.body, rule.seconds, state),
    "huge": _huge,
    "huge_headers": lambda rule, answer, _: Flooding(_head(answer)[:-2] + b"x-filler: ", rule.size),
    "gzip_bomb": _gzip_bomb,
}
"""Actions that change how an answer is sent; the others change what it says."""


def _head(answer: Answer) -> bytes:
    fields = {**answer.headers, "content-length": str(len(answer.body)), "connection": "close"}
    lines = [
        f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, '')}",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


async def _zeros(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // len(CHUNK) + 1):
        yield CHUNK


async def _packed_zeros(size: int) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(size // len(CHUNK) + 1):
        packed = packer.compress(CHUNK)
        if packed:
            yield packed
        await asyncio.sleep(0)
    yield packer.flush()
