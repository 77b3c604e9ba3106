"""Two ends of a channel on a real pair of sockets: questions, answers, news, long bodies, an end that goes away."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from qboxrelay.workers.channel import Channel, ChannelClosed, Kind, Refused

LONG = bytes(range(256)) * 8192


class End:
    """Notes what it hears, and answers a question with its body, or refuses it when told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[Kind, bytes]] = []
        self.news = asyncio.Event()
        self.silent = False
        self.refusing = False
        self.channel = Channel(self.serve)

    def serve(self, kind: Kind, number: int, body: bytes) -> None:
        self.heard.append((kind, body))
        if not number:
            self.news.set()
        elif self.refusing:
            self.channel.refuse(number, body)
        elif not self.silent:
            self.channel.answer(number, body)


@asynccontextmanager
async def ends() -> AsyncIterator[tuple[End, End]]:
    loop = asyncio.get_running_loop()
    both = End(), End()
    for end, found in zip(both, socket.socketpair(), strict=True):
        await loop.create_unix_connection(lambda end=end: end.channel, sock=found)  # type: ignore[misc]
    try:
        yield both
    finally:
        for end in both:
            end.channel.close()
        await asyncio.gather(*(end.channel.gone() for end in both))


def test_questions_and_news() -> None:
    """Many at a time; each answer reaches who asked, in whatever size it comes."""

    async def scenario() -> None:
        async with ends() as (one, other):
            bodies = [b"%d" % number for number in range(100)] + [LONG, b"", LONG[:300_000], b"x"]
            answers = await asyncio.gather(*(one.channel.ask(Kind.PUT, body) for body in bodies))
            back = await other.channel.ask(Kind.PLAN, LONG)
            one.channel.news(Kind.LISTING, LONG)
            await other.news.wait()

            assert answers == bodies
            assert back == LONG
            assert other.heard[-1] == (Kind.LISTING, LONG)

    asyncio.run(scenario())


def test_small_ones_pass_between_the_pieces_of_a_long_one() -> None:
    """A client with a small mail does not wait for another one's attachment."""

    async def scenario() -> None:
        async with ends() as (one, other):
            long = asyncio.create_task(one.channel.ask(Kind.PUT, LONG * 4))
            await asyncio.sleep(0)
            await one.channel.ask(Kind.PING, b"small")
            assert await long == LONG * 4
            assert [body[:5] for _, body in other.heard] == [b"small", LONG[:5]]

    asyncio.run(scenario())


def test_refused() -> None:
    """The reason comes with it."""

    async def scenario() -> None:
        async with ends() as (one, other):
            other.refusing = True
            with pytest.raises(Refused) as refused:
                await one.channel.ask(Kind.PUT, b"no room")
            assert refused.value.body == b"no room"

    asyncio.run(scenario())


def test_the_other_end_goes_away() -> None:
    """Who waits hears it, who asks later as well; news are lost without a word."""

    async def scenario() -> None:
        async with ends() as (one, other):
            other.silent = True
            waiting = asyncio.create_task(one.channel.ask(Kind.PUT, b"?"))
            one.channel.news(Kind.FORGET)
            await other.news.wait()
            other.channel.close()
            with pytest.raises(ChannelClosed):
                await waiting
            await one.channel.gone()
            with pytest.raises(ChannelClosed):
                await one.channel.ask(Kind.PING)
            one.channel.news(Kind.FORGET, b"[]")

    asyncio.run(scenario())
