"""The connections of one account, and new ones where httpcore may have lost count of them.

In: a way to make an HTTP client. Out: the client for one request. Never: a socket that nobody closes, one closed under another's
request, or one that is kept busy for ever: only a new connection asks the name again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx


class _Stream(Protocol):
    async def aclose(self) -> None: ...


_MAX_AGE_SECONDS = 300.0
"""How old a busy connection may grow: so long a change of the API's address goes unnoticed, as long as the old one answers."""


class Pool:
    """One client with its connections, and how many requests use it. `made_at` is monotonic."""

    def __init__(self, client: httpx.AsyncClient, made_at: float) -> None:
        self.client = client
        self.made_at = made_at
        self.requests = 0
        self.retired = False

    def retire(self) -> None:
        """Give no further request to this pool. Call it wherever a request was cut off: httpcore's own books are kept with awaits, so a
        cancellation between two of them loses a connection's place for good, and with enough of those nothing would leave any more.
        """
        self.retired = True


class Connections:
    """Lends pools to requests. A retired pool is closed when its last request ends; `close()` closes all."""

    def __init__(self, make: Callable[[], httpx.AsyncClient], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._monotonic = monotonic
        self._current = Pool(make(), monotonic())
        self._open = {self._current}

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Pool]:
        """The pool for one request; a request that ends by a time-out or by cancellation retires it."""
        await self._renew()
        pool = self._usable()
        pool.requests += 1
        try:
            yield pool
        except (TimeoutError, asyncio.CancelledError, httpx.PoolTimeout):
            pool.retire()
            raise
        finally:
            pool.requests -= 1
            if pool.retired and not pool.requests:
                await self._close(pool)

    async def close(self) -> None:
        for pool in list(self._open):
            await self._close(pool)

    async def _renew(self) -> None:
        pool = self._current
        if not pool.retired and self._monotonic() - pool.made_at >= _MAX_AGE_SECONDS:
            pool.retire()
            if not pool.requests:
                await self._close(pool)

    def _usable(self) -> Pool:
        if self._current.retired:
            self._current = Pool(self._make(), self._monotonic())
            self._open.add(self._current)
        return self._current

    async def _close(self, pool: Pool) -> None:
        await pool.client.aclose()
        self._open.discard(pool)


class Handshake:
    """Closes the socket of a TLS handshake that is cut off: httpcore does so after an `Exception`, and the CancelledError of a deadline
    is none. `trace` goes into one request's extensions.
    """

    def __init__(self) -> None:
        self._stream: _Stream | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            self._stream = info["return_value"]
        elif event.endswith("start_tls.failed") and self._stream is not None:
            await self._stream.aclose()
