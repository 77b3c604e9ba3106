"""One worker, as main sees it: a process, a channel, a door to hand connections through.

In: terms, connections, a grace. Out: what the process answers; its exit status. Never: a secret in its command line or environment; a process
that is left behind.
"""

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from typing import NoReturn

import orjson

from qboxrelay.smtp.handed import Handed
from qboxrelay.telemetry.merging import Families, read_snapshot
from qboxrelay.workers.board import Board
from qboxrelay.workers.channel import Channel, ChannelClosed, Kind, Refused

_START_SECONDS = 60.0
"""For the imports, on a machine that has much else to do."""
_OWN = "QBOXRELAY_"
"""Variables of the configuration, tokens among them: what a worker needs of it comes over the channel."""
_TERMS_SECONDS = 60.0
"""To read certificates and the like."""
_EXIT_SECONDS = 5.0
_METRICS_SECONDS = 3.0
"""A scrape does not wait longer for a worker that is stuck."""
_STOP_MARGIN = timedelta(seconds=2)

Serve = Callable[["Member", Kind, int, bytes], None]


class Member:
    """`begin`, then `plan` and `adopt`, until `stop` or `kill`; `end` at last."""

    def __init__(self, number: int, *, board: Board, serve: Serve) -> None:
        self.number = number
        self.ready = False
        """Whether it takes connections."""
        self.families: Families = {}
        """What it had counted when it was last asked."""
        self._board = board
        self._serve = serve
        self._process: Process
        self._door: socket.socket
        self.channel: Channel
        self._hello: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def begin(self) -> None:
        """Start the process. Raises OSError."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as unless_started, contextlib.ExitStack() as handed_over:
            ours, theirs = socket.socketpair()
            self._door, door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._door.setblocking(False)
            for one in (ours, self._door):
                unless_started.enter_context(one)
            for one in (theirs, door):
                handed_over.enter_context(one)
            handed = [theirs.fileno(), door.fileno(), self._board.descriptor]
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Without it Python would look for the relay, and all that it imports, in the current folder first.
                "-P",
                "-m",
                "qboxrelay.cli.worker",
                *map(str, (self.number, *handed)),
                stdin=DEVNULL,
                pass_fds=handed,
                env={name: value for name, value in os.environ.items() if not name.startswith(_OWN)},
            )
            unless_started.pop_all()
        self.channel = Channel(self._served)
        self.channel.closed.add_done_callback(lambda _closed: self._greeted(""))
        await loop.create_unix_connection(lambda: self.channel, sock=ours)
        try:
            async with asyncio.timeout(_START_SECONDS):
                found = await self._hello
        except asyncio.CancelledError:
            self.kill()
            raise
        except TimeoutError:
            await self._give_up(f"a worker process did not come up within {_START_SECONDS:g} seconds")
        if not found:
            await self._give_up("a worker process ended while it started; its own words are above")
        if found != version("qboxrelay"):
            await self._give_up("another version of qboxrelay was installed since the relay started: restart the relay")

    async def plan(self, terms: bytes) -> None:
        """Raises OSError for what it cannot use."""
        await self._asked(Kind.PLAN, terms)

    async def adopt(self) -> None:
        await self._asked(Kind.ADOPT)
        self.ready = True

    def hand(self, connection: socket.socket, handed: Handed) -> bool:
        """Whether it takes the connection: one that does not read has a queue that is full."""
        words = orjson.dumps((handed.listener, handed.peer, handed.counted_as, handed.limit))
        try:
            socket.send_fds(self._door, [words], [connection.fileno()])
        except OSError:
            return False
        return True

    async def refresh(self) -> None:
        """Ask for `families`; the old ones stay when there is no answer in time."""
        with contextlib.suppress(ChannelClosed, Refused, TimeoutError):
            async with asyncio.timeout(_METRICS_SECONDS):
                self.families = read_snapshot(await self.channel.ask(Kind.METRICS))

    async def answers(self) -> None:
        """Return when it has said that it is there, or is gone."""
        with contextlib.suppress(ChannelClosed, Refused):
            await self.channel.ask(Kind.PING)

    async def stop(self, grace: timedelta) -> None:
        """Have it finish its sessions within `grace`; what does not end then is killed."""
        self.ready = False
        try:
            async with asyncio.timeout((grace + _STOP_MARGIN).total_seconds()):
                body = await self.channel.ask(Kind.STOP, orjson.dumps(grace.total_seconds()))
        except (ChannelClosed, Refused):
            return
        except TimeoutError:
            self.kill()
            return
        self.families = read_snapshot(body)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.kill()

    async def end(self) -> int:
        """Let it go; its exit status, negative for a signal."""
        self.ready = False
        self.channel.close()
        self._door.close()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    def _served(self, kind: Kind, number: int, body: bytes) -> None:
        if kind is Kind.HELLO:
            self._greeted(body.decode())
        else:
            self._serve(self, kind, number, body)

    def _greeted(self, its_version: str) -> None:
        """Empty when it ended instead."""
        if not self._hello.done():
            self._hello.set_result(its_version)

    async def _asked(self, kind: Kind, body: bytes = b"") -> None:
        try:
            async with asyncio.timeout(_TERMS_SECONDS):
                await self.channel.ask(kind, body)
        except TimeoutError:
            raise OSError(None, f"a worker process did not answer within {_TERMS_SECONDS:g} seconds") from None
        except Refused as refused:
            raise OSError(None, str(refused)) from None
        except ChannelClosed:
            raise OSError(None, "a worker process ended while it was told what to do") from None

    async def _give_up(self, text: str) -> NoReturn:
        self.kill()
        await self.end()
        raise OSError(None, text)
