"""One worker: takes mail on the terms that main sends, from connections that main hands over, into the spool that main has.

In: questions and news of main, connections. Out: answers, submissions, what was counted. Never: an end by itself while main is there; a life
without main; a reply to a mail whose fate only main knew: the client hears nothing, as from a single process that is killed.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import orjson
import structlog
from prometheus_client import CollectorRegistry

from qboxrelay import descriptors
from qboxrelay.domains.keeping import from_bytes
from qboxrelay.doors import Plan
from qboxrelay.gates import GateMaker, Gates, gates_differ
from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.model.clock import Clock
from qboxrelay.reception import OwnReception, Terms
from qboxrelay.smtp.handed import Handed
from qboxrelay.telemetry.logs import change_level, configure
from qboxrelay.telemetry.merging import snapshot
from qboxrelay.telemetry.metrics import build_info
from qboxrelay.telemetry.metrics_loop import LoopLag
from qboxrelay.telemetry.tracing import OFF, Tracing, open_tracing
from qboxrelay.workers.board import Board, SharedMemory
from qboxrelay.workers.channel import Channel, Kind
from qboxrelay.workers.remote import NoStore, RemoteList, RemoteSpool, RemoteVerdicts
from qboxrelay.workers.words import WorkerTerms, terms_from_bytes

log = structlog.get_logger()

_HANDED_BYTES = 4096
_AT_ONCE = 16
"""Connections that are taken before others have their turn."""
_WITHOUT_MAIN = timedelta(seconds=1)
_TRACING_GRACE = timedelta(seconds=3)
_RETIRED_AFTER = timedelta(minutes=2)


class Worker:
    """`run` until main says stop, or is gone."""

    def __init__(
        self, *, number: int, door: socket.socket, board: Board, clock: Clock, break_off: Callable[[], None]
    ) -> None:
        """`door` is where connections come from; `number` counts from 1. `break_off` ends the process at once."""
        self._break_off = break_off
        self._stopped = False
        self._number = number
        self._door = door
        self._clock = clock
        self._memory = SharedMemory(board, number - 1)
        self.registry = CollectorRegistry()
        self._gate_maker = GateMaker(registry=self.registry, clock=clock)
        self._gates = Gates()
        self._channel: Channel
        self._reception: OwnReception | None = None
        self._planned: tuple[tuple[Terms, Plan], Gates] | None = None
        self._in_force: Terms | None = None
        self._tracing: Tracing = OFF
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._channel = Channel(self._serve, self._lost)
        await loop.create_unix_connection(lambda: self._channel, sock=connection)
        self._channel.news(Kind.HELLO, version("qboxrelay").encode())
        try:
            await self._channel.gone()
        finally:
            loop.remove_reader(self._door.fileno())
            await self._end()

    def _serve(self, kind: Kind, number: int, body: bytes) -> None:
        if kind is Kind.PING:
            self._channel.answer(number)
        elif kind is Kind.METRICS:
            self._channel.answer(number, snapshot(self.registry))
        elif kind is Kind.LISTING:
            self._take_listing(body)
        elif kind is Kind.TELL and self._reception is not None:
            self._reception.doors.elsewhere(*orjson.loads(body))
        elif kind is Kind.DISCARD:
            self._start(self._discard())
        elif kind in _WORK:
            self._start(self._work(kind, number, body))

    async def _work(self, kind: Kind, number: int, body: bytes) -> None:
        try:
            self._channel.answer(number, await _WORK[kind](self, body))
        except OSError as error:
            named = f"{error.filename}: " if error.filename else ""
            self._channel.refuse(number, f"{named}{error.strerror or error}".encode())
        except Exception as error:
            log.exception("worker.crashed")
            self._channel.refuse(number, f"an internal error: {type(error).__name__}".encode())

    async def _plan(self, body: bytes) -> bytes:
        await self._discard()
        wanted = terms_from_bytes(body)
        if self._reception is None:
            self._begin(wanted)
        gates = self._gates_for(wanted)
        terms = Terms(
            settings=wanted.settings,
            users=wanted.users,
            gates=gates,
            asks_management=wanted.asks_management,
            removed_users=wanted.removed_users,
        )
        reception = self._reception = self._reception or self._receive(terms)
        self._planned = await reception.plan(terms, InheritedSockets()), gates
        return b""

    async def _adopt(self, _body: bytes) -> bytes:
        assert self._reception is not None
        assert self._planned is not None, "nothing was planned"
        (plan, gates), self._planned = self._planned, None
        first = not self._reception.listeners
        await self._reception.adopt(plan)
        self._in_force = plan[0]
        self._use(gates)
        change_level(plan[0].settings.log)
        if first:
            self._open(self._reception)
        return b""

    async def _stop(self, body: bytes) -> bytes:
        if self._reception is not None:
            await self._reception.close(timedelta(seconds=orjson.loads(body)))
        self._stopped = True
        return snapshot(self.registry)

    def _lost(self) -> None:
        """Main is gone. Whoever waits for it must not be told that the mail was refused: it may be safe."""
        if not self._stopped:
            self._break_off()

    async def _discard(self) -> None:
        planned, self._planned = self._planned, None
        if planned is not None and self._reception is not None:
            self._reception.discard(planned[0])
            if planned[1] is not self._gates:
                await planned[1].close()

    def _gates_for(self, wanted: WorkerTerms) -> Gates:
        """Those that are in use, with what they remember, unless others are needed."""
        in_force = self._in_force
        if (
            in_force is not None
            and in_force.asks_management == wanted.asks_management
            and not gates_differ(in_force.settings, wanted.settings)
        ):
            return self._gates
        return self._gate_maker.make_following(
            wanted.settings,
            asks=wanted.asks_management,
            listing=from_bytes(wanted.listing) if wanted.listing is not None else None,
            lookup=RemoteList(self._channel),
            store=NoStore(),
        )

    def _begin(self, wanted: WorkerTerms) -> None:
        """What is the same for the worker's whole life."""
        settings = wanted.settings
        configure(settings.log, sys.stderr, always={"worker": self._number})
        build_info(self.registry, version("qboxrelay"))
        self._tracing = open_tracing(
            endpoint=settings.tracing.endpoint,
            sample_ratio=settings.tracing.sample_ratio,
            name=settings.relay.name or socket.gethostname(),
            version=version("qboxrelay"),
        )

    def _receive(self, terms: Terms) -> OwnReception:
        verdicts = RemoteVerdicts(self._channel)
        return OwnReception(
            spool=RemoteSpool(self._channel, verdicts),
            registry=self.registry,
            clock=self._clock,
            terms=terms,
            confirmations=verdicts,
            tracing=self._tracing,
            memory=self._memory,
            left=self._left,
            tell=self._tell,
        )

    def _open(self, reception: OwnReception) -> None:
        self._start(reception.run())
        self._start(LoopLag(self.registry, self._clock).run())
        self._start(descriptors.watch(self._clock))
        self._door.setblocking(False)
        asyncio.get_running_loop().add_reader(self._door.fileno(), self._welcome)

    def _use(self, gates: Gates) -> None:
        """Those that are replaced are closed when the mails that they judge are through."""
        old, self._gates = self._gates, gates
        if old is not gates:
            self._start(self._retire(old))

    async def _retire(self, gates: Gates) -> None:
        try:
            await self._clock.sleep(_RETIRED_AFTER)
        finally:
            await gates.close()

    def _take_listing(self, body: bytes) -> None:
        listing = from_bytes(body)
        for gates in (self._gates, *([self._planned[1]] if self._planned is not None else [])):
            if gates.followed is not None and listing is not None:
                gates.followed.listing = listing

    def _welcome(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                words, found, _, _ = socket.recv_fds(self._door, _HANDED_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            if not words:
                asyncio.get_running_loop().remove_reader(self._door.fileno())
                return
            handed = Handed(*orjson.loads(words))
            if found and self._reception is not None:
                self._reception.doors.welcome(socket.socket(fileno=found[0]), handed)
            else:
                # No descriptor was left for it.
                self._left(handed)

    def _left(self, handed: Handed) -> None:
        self._channel.news(Kind.LEFT, orjson.dumps((handed.listener, handed.counted_as)))

    def _tell(self, *words: str) -> None:
        self._channel.news(Kind.TELL, orjson.dumps(words))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        if self._reception is not None:
            await self._reception.close(_WITHOUT_MAIN)
            await self._reception.end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._gates.close()
        await self._tracing.close(_TRACING_GRACE)


_WORK = {Kind.PLAN: Worker._plan, Kind.ADOPT: Worker._adopt, Kind.STOP: Worker._stop}  # noqa: SLF001 - its own
"""Questions whose answers take time."""
