"""The relays that work on one spool, and one of them among the others.

In: a name, figures of what this relay did. Out: heartbeats, the list of all nodes, the port `Shared`. Never: two running relays of one name.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Self

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.spool.port import SpoolError, SpoolLocked
from qboxrelay.spool.postgres.conditions import Conditions
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.leader import Watch
from qboxrelay.spool.postgres.rates import Rates
from qboxrelay.spool.shared import SILENT_AFTER, Node, SharedCondition, Turned, Work
from qboxrelay.spool.statements import load_statements
from qboxrelay.spool.times import from_ms

log = structlog.get_logger()

_BEAT = timedelta(seconds=3)
_POLL = timedelta(seconds=2)
"""A notification may be lost."""
_FORGOTTEN = timedelta(days=1)
_FORGET_BEATS = 1200
_CLOSING_SECONDS = 3.0
_NAME_TRIES, _NAME_PAUSE = 10, timedelta(milliseconds=200)
"""A relay that was killed and starts again at once: the server takes a moment to see that the session of the one before has ended."""


class PostgresNodes:
    """Who there is, for a command beside relays; each call brings its own connection."""

    def __init__(self, open_database: Callable[[], Awaitable[Database]]) -> None:
        self._open = open_database
        self._sql = load_statements("postgres")

    async def nodes(self) -> list[Node]:
        database = await self._open()
        try:
            return await _nodes(database, self._sql)
        finally:
            await database.close()


class PostgresShared:
    """One node. `enter` is the way to make one; `run` until cancelled, then `close`."""

    alone = False

    def __init__(self, database: Database, *, name: str, instance: str, clock: Clock, work: Callable[[], Work]) -> None:
        self._database = database
        self._clock = clock
        self._work = work
        self._sql = load_statements("postgres")
        self._me = {"name": name, "instance": instance}
        self._watch = Watch(database.listening, schema=database.schema, name=name, clock=clock)
        self._rates = Rates(database)
        self._conditions = Conditions(database, node=name, channel=self._watch.channel)
        self._replaced = False

    @classmethod
    async def enter(
        cls,
        database: Database,
        *,
        name: str,
        instance: str,
        version: str,
        clock: Clock,
        work: Callable[[], Work] = Work,
    ) -> Self:
        """`instance` tells this run of the relay from others; `database` is closed with it. Raises `SpoolLocked` where another relay of that name
        runs, `SpoolError`.
        """
        made = cls(database, name=name, instance=instance, clock=clock, work=work)
        try:
            await made._watch.open()
            await made._take_name(version)
        except BaseException:
            await made._watch.close()
            await database.close()
            raise
        return made

    @property
    def leads(self) -> bool:
        return self._watch.leads

    async def turn(
        self, token: bytes, account: str, *, interval: float, late: float, accepted: int, within: float
    ) -> Turned:
        return await self._rates.turn(token, account, interval=interval, late=late, accepted=accepted, within=within)

    async def slow_down(self, token: bytes) -> None:
        await self._rates.slow_down(token)

    async def conditions(self) -> list[SharedCondition]:
        return await self._conditions.all()

    async def tell(self, account: str, condition: str, *, reason: str, token: bytes, wait: timedelta) -> None:
        await self._conditions.tell(account, condition, reason=reason, token=token, wait=wait)

    async def recovered(self, account: str, version: int) -> None:
        await self._conditions.recovered(account, version)

    async def may_probe(self, account: str, lease: timedelta) -> bool:
        return await self._conditions.may_probe(account, lease)

    async def changed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL.total_seconds()):
                await self._watch.noticed()

    async def nodes(self) -> list[Node]:
        return await _nodes(self._database, self._sql)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run(), name="node-session")
            group.create_task(self._beat_on(), name="node-heartbeat")

    def cut_off(self) -> None:
        """While it closes: the server is not waited for any longer."""
        self._database.cut_off()

    async def close(self) -> None:
        """Say goodbye; where the server does not answer, the others find out."""
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._execute("leave_node", self._me)
        except (SpoolError, TimeoutError) as error:
            log.warning("node.no_goodbye", error=str(error) or "the database did not answer")
        await self._watch.close()
        await self._database.close()

    async def beat(self) -> None:
        """One heartbeat. Raises `SpoolError`."""
        work = self._work()
        values = {
            **self._me,
            "leads": self.leads,
            "accepted": work.accepted,
            "sent": work.sent,
            "accepted_per_second": work.accepted_per_second,
            "sent_per_second": work.sent_per_second,
        }
        if not await self._execute("beat", values) and not self._replaced:
            self._replaced = True
            log.error(
                "node.replaced",
                name=self._me["name"],
                hint="another relay took this one's name while it was not heard of: give each its own name in [relay], and restart this one",
            )

    async def forget(self) -> None:
        """What was not heard of for a day."""
        await self._execute("forget_nodes", {"age_ms": _ms(_FORGOTTEN)})
        await self._rates.forget(_FORGOTTEN.total_seconds())

    async def _beat_on(self) -> None:
        beats = 0
        while True:
            try:
                if beats % _FORGET_BEATS == 0:
                    await self.forget()
                await self.beat()
            except SpoolError as error:
                log.warning("node.heartbeat_failed", error=str(error))
            beats += 1
            await self._clock.sleep(_BEAT)

    async def _take_name(self, version: str) -> None:
        for _ in range(_NAME_TRIES):
            if await self._enter(version):
                return
            await self._clock.sleep(_NAME_PAUSE)
            await self._watch.take_name()
        raise SpoolLocked(
            f"another relay named {self._me['name']} runs on this spool: give each its own name in [relay]; "
            f"if its machine died, its name is free {SILENT_AFTER.total_seconds():g} seconds later"
        )

    async def _enter(self, version: str) -> bool:
        values = {**self._me, "version": version, "locked": self._watch.named, "silent_ms": _ms(SILENT_AFTER)}
        return await self._execute("enter_node", values)

    async def _execute(self, statement: str, values: Mapping[str, object]) -> bool:
        """Whether it gave a row."""
        values = {**values, "now": self._database.now_ms()}
        async with self._database.reading() as connection:
            cursor = await connection.execute(self._sql[statement], values)
            return cursor.description is not None and await cursor.fetchone() is not None


async def _nodes(database: Database, sql: dict[str, str]) -> list[Node]:
    async with database.reading() as connection:
        rows = await (await connection.execute(sql["nodes"], {"now": database.now_ms()})).fetchall()
    return [
        Node(
            name=row["name"],
            version=row["version"],
            started_at=from_ms(row["started_at"]),
            seen_at=from_ms(row["seen_at"]),
            silent=timedelta(milliseconds=max(0, row["silent_ms"])),
            stopped_at=None if row["stopped_at"] is None else from_ms(row["stopped_at"]),
            leads=row["leads"],
            work=Work(
                accepted=row["accepted"],
                sent=row["sent"],
                accepted_per_second=row["accepted_per_second"],
                sent_per_second=row["sent_per_second"],
            ),
        )
        for row in rows
    ]


def _ms(length: timedelta) -> int:
    return round(length.total_seconds() * 1000)
