"""Who waits for work, or for an operator's act, and is woken by what any node did.

In: accounts with new work, of this node and of others. Out: ended waits. Never: a wait that only a notification can end: a look every few
seconds covers one that was lost.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from uuid import uuid4

import psycopg
import structlog

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.database import Database

log = structlog.get_logger()

ACTS = "!"
"""What is said after an operator's act, by whichever program."""
POLL_SECONDS = 2.0
_GATHER_SECONDS = 0.05
"""Other nodes hear of new work no more often: each notification makes commits of the whole server wait for each other."""
_RECONNECT_SECONDS = 1.0


def channel(schema: str) -> str:
    """The name under which a spool's nodes hear of each other."""
    return f"qboxrelay_{schema}"


Find = Callable[[list[str]], Awaitable[list[str]]]
"""Those of the accounts that have something to claim."""


class Wakeups:
    """Events by account. `find` looks for work that nobody told of, `tidy` ends what only this node knows to be over; `close` ends every wait."""

    def __init__(self, database: Database, *, notify: str, find: Find, tidy: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._notify = notify
        self._find = find
        self._tidy = tidy
        self._channel = channel(database.schema)
        # Also to this process comes what it said itself.
        self._self = uuid4().hex
        self._work: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, int] = {}
        self._acts = asyncio.Event()
        self._untold: set[str] = set()
        self._telling = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    def start(self) -> None:
        for work in (self._listen, self._tell, self._poll):
            self._tasks.append(asyncio.create_task(work(), name=f"spool-{work.__name__.strip('_')}"))

    def clear(self, account: str) -> None:
        """What comes from now on ends the next wait."""
        self._event(account).clear()

    def wake(self, accounts: set[str]) -> None:
        """There is new work by this node: its own waits end at once, other nodes hear of it."""
        for account in accounts:
            self._event(account).set()
        if accounts:
            self._untold |= accounts
            self._telling.set()

    def wake_here(self, account: str) -> None:
        """Of one account, or of all with an empty name."""
        for event in [self._event(account)] if account else list(self._work.values()):
            event.set()

    async def wait(self, account: str) -> None:
        self._waiting[account] = self._waiting.get(account, 0) + 1
        try:
            if not self._closed:
                await self._event(account).wait()
        finally:
            self._waiting[account] -= 1

    async def acted(self) -> None:
        """Return after an operator's act, and every few seconds anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._acts.wait()
        self._acts.clear()

    async def close(self) -> None:
        self._closed = True
        for event in (*self._work.values(), self._acts):
            event.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _event(self, account: str) -> asyncio.Event:
        return self._work.setdefault(account, asyncio.Event())

    async def _listen(self) -> None:
        """On one connection of its own, made again whenever it is lost."""
        while True:
            try:
                await self._hear()
            except (SpoolError, psycopg.Error, OSError) as error:
                log.debug("spool.deaf", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _hear(self) -> None:
        connection = await self._database.listening()
        try:
            await self._begin(connection)
            async for notification in connection.notifies():
                self._heard(notification.payload)
        finally:
            await connection.close()

    async def _begin(self, connection: Connection) -> None:
        await connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(self._channel)))
        # What was said while nobody listened.
        self._acts.set()

    def _heard(self, text: str) -> None:
        who, _, account = text.partition(" ")
        if who == ACTS:
            self._acts.set()
        elif who != self._self and account in self._waiting:
            self._event(account).set()

    async def _tell(self) -> None:
        """Other nodes, of what came together in a moment."""
        while True:
            await self._telling.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._telling.clear()
            texts = [f"{self._self} {account}" for account in self._untold]
            self._untold.clear()
            # They find it by themselves a little later.
            with contextlib.suppress(SpoolError):
                async with self._database.reading() as connection:
                    await connection.execute(self._notify, {"channel": self._channel, "texts": texts})

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            with contextlib.suppress(SpoolError):
                await self._tidy()
            idle = [name for name, count in self._waiting.items() if count and not self._event(name).is_set()]
            if idle:
                with contextlib.suppress(SpoolError):
                    for account in await self._find(idle):
                        self._event(account).set()
