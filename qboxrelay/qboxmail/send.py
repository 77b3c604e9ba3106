"""`POST /v1/send`: one request, one answer.

In: finished JSON of messages. Out: `Answer`, or what a request without an answer came to. Never: a retry inside, a redirect
followed, a token or a body in a log, a wait without an end.
"""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from importlib.util import find_spec

import anyio.lowlevel
import anyio.streams.tls
import httpx

from qboxrelay.model.outcome import Deferred, Unknown
from qboxrelay.qboxmail.answer import Answer
from qboxrelay.qboxmail.body import decoded
from qboxrelay.qboxmail.connections import Connections, Pool
from qboxrelay.qboxmail.token import TokenSource, TokenUnreadable
from qboxrelay.qboxmail.wire import Wire

_MAX_ANSWER_BYTES = 4_000_000
"""An answer for 500 messages is about 150 KB."""
_ERROR_BODY_SECONDS = 5.0
"""An error's words are not worth waiting longer."""
_OPEN, _CLOSE = b'{"messages":[', b"]}"
_SLICE_BYTES = 256 * 1024
"""Larger bodies go out in slices, so that no single write holds the event loop. Slices of 64 KB cost a tenth more, larger ones gain nothing; and
over HTTP/2 httpcore copies the rest of a slice with each frame: one of 4 MB takes twice as long.
"""
_IDLE_SECONDS = 20.0
"""Below what gateways usually keep idle connections for: a connection that the peer closes as the request goes out is an unknown outcome."""

Failure = Deferred | Unknown


async def prepare() -> None:
    """Load now what httpx loads with its first request: imports take tens of milliseconds, and would take them from sessions."""
    await anyio.lowlevel.checkpoint()
    # httpcore asks for it several times a request, and looking for what is not installed searches every folder of the path: 1 ms a request.
    # None says so at once (Python's reference, 5.3.1).
    if find_spec("sniffio") is None:
        sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


class SendClient:
    """The Send API of one account. `close()` ends its connections."""

    def __init__(
        self,
        *,
        base_url: str,
        token: TokenSource,
        deadline: timedelta,
        connect_timeout: timedelta,
        max_connections: int,
        monotonic: Callable[[], float],
        tls: ssl.SSLContext,
        proxy: str | None = None,
        user_agent: str = "qboxrelay",
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/send"
        self._token = token
        self._deadline = deadline
        self._monotonic = monotonic
        self._connections = Connections(
            lambda: httpx.AsyncClient(
                http2=base_url.startswith("https:"),
                verify=tls,
                proxy=proxy,
                follow_redirects=False,
                timeout=httpx.Timeout(deadline.total_seconds(), connect=connect_timeout.total_seconds()),
                limits=httpx.Limits(
                    max_connections=max_connections,
                    max_keepalive_connections=max_connections,
                    keepalive_expiry=_IDLE_SECONDS,
                ),
                headers={"User-Agent": user_agent, "Content-Type": "application/json", "Accept": "application/json"},
            ),
            monotonic,
        )

    async def post(self, payloads: Sequence[bytes]) -> Answer | Failure:
        """Send the messages in one request. Never raises for what the network or the API does."""
        try:
            token = self._token.current()
        except TokenUnreadable as error:
            return Deferred(reason="token", text=str(error), counted=False)
        wire = Wire(self._monotonic)
        try:
            async with (
                self._connections.lend() as pool,
                asyncio.timeout(self._deadline.total_seconds()) as deadline,
            ):
                return await self._exchange(pool, payloads, token.reveal(), wire, deadline)
        except TimeoutError:
            return wire.failure("timeout", f"no answer within {self._deadline.total_seconds():g} seconds")
        except (httpx.RequestError, httpx.InvalidURL, OSError) as error:
            return wire.failure(*_in_words(error))

    async def _exchange(
        self, pool: Pool, payloads: Sequence[bytes], token: str, wire: Wire, deadline: asyncio.Timeout
    ) -> Answer:
        size = body_bytes(payloads)
        headers = {"Authorization": f"Bearer {token}", "Content-Length": str(size), "Accept-Encoding": "identity"}
        request = pool.client.build_request(
            "POST",
            self._url,
            content=b"".join(_pieces(payloads)) if size <= _SLICE_BYTES else _sliced(payloads),
            headers=headers,
            extensions={"trace": wire.trace},
        )
        response = await pool.client.send(request, stream=True)
        if not response.is_success:
            # The deadline must not hide a status that is known: the words get a little time of their own.
            deadline.reschedule(asyncio.get_running_loop().time() + 2 * _ERROR_BODY_SECONDS)
        try:
            content = await _read(response, pool)
        finally:
            await response.aclose()
        wire.answered()
        return Answer(
            status=response.status_code,
            headers=dict(response.headers),
            body=content,
            connect_seconds=wire.connect_seconds,
            answer_seconds=wire.answer_seconds,
        )

    async def close(self) -> None:
        await self._connections.close()


def body_bytes(payloads: Sequence[bytes]) -> int:
    """Size of the request body that carries these messages."""
    return len(_OPEN) + len(_CLOSE) + sum(map(len, payloads)) + max(0, len(payloads) - 1)


def _pieces(payloads: Sequence[bytes]) -> list[bytes]:
    """What the body is joined of."""
    messages = [b","] * (2 * len(payloads) - 1)
    messages[::2] = payloads
    return [_OPEN, *messages, _CLOSE]


async def _sliced(payloads: Sequence[bytes]) -> AsyncIterator[bytes]:
    """The body in pieces of about one size: small payloads together, large ones cut. It never exists as a whole."""
    pending: list[bytes] = []
    size = 0
    for piece in _pieces(payloads):
        if size + len(piece) < _SLICE_BYTES:
            pending.append(piece)
            size += len(piece)
            continue
        for start in range(0, len(piece), _SLICE_BYTES):
            part = piece[start : start + _SLICE_BYTES]
            pending.append(part)
            size += len(part)
            if size >= _SLICE_BYTES:
                yield b"".join(pending)
                pending.clear()
                size = 0
    if pending:
        yield b"".join(pending)


async def _read(response: httpx.Response, pool: Pool) -> bytes:
    """The body up to a limit. An error's status says what to do, however its body ends; a 2xx without a whole body says nothing."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(None if response.is_success else _ERROR_BODY_SECONDS):
            async for part in response.aiter_raw():
                size += len(part)
                if size > _MAX_ANSWER_BYTES:
                    raise httpx.DecodingError(f"the answer is larger than {_MAX_ANSWER_BYTES} bytes")
                parts.append(part)
    except (httpx.RequestError, TimeoutError) as error:
        if response.is_success:
            raise
        if isinstance(error, TimeoutError):
            pool.retire()
    return decoded(b"".join(parts), response.headers.get("content-encoding", ""), _MAX_ANSWER_BYTES)


def _in_words(error: Exception) -> tuple[str, str]:
    """A closed set of words for metrics, and a text without the request's content."""
    reasons: list[tuple[type[Exception], str]] = [
        (httpx.ConnectTimeout, "connect"),
        (httpx.ConnectError, "connect"),
        (httpx.ProxyError, "proxy"),
        (httpx.TimeoutException, "timeout"),
        (httpx.RemoteProtocolError, "protocol"),
        (httpx.NetworkError, "network"),
    ]
    reason = next((word for kind, word in reasons if isinstance(error, kind)), "network")
    return reason, f"{type(error).__name__}: {error}"[:300]
