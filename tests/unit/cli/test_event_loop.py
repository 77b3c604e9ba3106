"""Name look-ups of the daemon's event loop: shared, few, and in nobody's way."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from qboxrelay.cli.event_loop import RelayLoop

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]


class Resolver:
    """Answers when it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[Any] = []
        self.go = threading.Event()
        self._error = error

    def __call__(self, host: Any, *_question: Any) -> Any:
        self.asked.append(host)
        self.go.wait(30)
        if self._error is not None:
            raise self._error
        return FOUND


def run(resolver: Resolver, work: Callable[[asyncio.AbstractEventLoop], Awaitable[None]]) -> None:
    async def main() -> None:
        await work(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=partial(RelayLoop, resolver)) as runner:
        runner.run(main())


def test_names_are_looked_up() -> None:
    """By the system, as asyncio would."""

    async def main() -> None:
        found = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 25, type=socket.SOCK_STREAM)
        assert [entry[4] for entry in found] == [("127.0.0.1", 25)]
        with pytest.raises(socket.gaierror):
            await asyncio.get_running_loop().getaddrinfo("name.invalid", 25)
        with pytest.raises(socket.gaierror):
            await asyncio.get_running_loop().getaddrinfo("a" * 70 + ".invalid", 25)

    with asyncio.Runner(loop_factory=RelayLoop) as runner:
        runner.run(main())


def test_one_look_up_serves_all_who_ask() -> None:
    """However many requests want the same name, one thread asks for it; who stops waiting stops nobody else."""
    resolver = Resolver()

    async def work(loop: asyncio.AbstractEventLoop) -> None:
        asking = [asyncio.create_task(loop.getaddrinfo("api.example", 443)) for _ in range(10)]
        await asyncio.sleep(0)
        asking[0].cancel()
        resolver.go.set()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [FOUND] * 9
        assert await loop.getaddrinfo("api.example", 443) == FOUND

    run(resolver, work)
    assert resolver.asked == ["api.example"] * 2


def test_too_many_names_are_an_error_at_once() -> None:
    """A resolver that does not answer costs a few threads, not one for each name that is asked for."""
    resolver = Resolver()

    async def work(loop: asyncio.AbstractEventLoop) -> None:
        asking = [asyncio.create_task(loop.getaddrinfo(f"{number}.example", 443)) for number in range(16)]
        await asyncio.sleep(0)
        with pytest.raises(socket.gaierror, match="too many names"):
            await loop.getaddrinfo("one.more.example", 443)
        resolver.go.set()
        assert await asyncio.gather(*asking) == [FOUND] * 16
        assert await loop.getaddrinfo("one.more.example", 443) == FOUND

    run(resolver, work)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_failure_reaches_who_waits_and_no_other(error: Exception) -> None:
    """Also one that is not the resolver's own; where nobody waits any more it is nobody's."""
    resolver = Resolver(error)

    async def work(loop: asyncio.AbstractEventLoop) -> None:
        gone = asyncio.create_task(loop.getaddrinfo("gone.example", 443))
        waits = asyncio.create_task(loop.getaddrinfo("waits.example", 443))
        await asyncio.sleep(0)
        gone.cancel()
        resolver.go.set()
        with pytest.raises(socket.gaierror):
            await waits

    run(resolver, work)


def test_end_of_the_loop_waits_for_no_name() -> None:
    """A look-up that comes back when the loop is closed is forgotten."""
    resolver = Resolver()

    async def work(loop: asyncio.AbstractEventLoop) -> None:
        asking = asyncio.create_task(loop.getaddrinfo("api.example", 443))
        await asyncio.sleep(0)
        asking.cancel()

    run(resolver, work)
    resolver.go.set()
    for thread in threading.enumerate():
        if thread.name == "getaddrinfo":
            thread.join(30)
