"""What main does for a worker that asks: keep mail, wait for a verdict, look an address up.

In: questions of one worker. Out: answers. Never: an answer "kept" before the commit; a surprise that ends the channel.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import orjson
import structlog

from qboxrelay.intake.suppressed import Lookup
from qboxrelay.model.sender_domain import ManagementFailure
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.workers.channel import Channel, Kind
from qboxrelay.workers.puts import Put, Puts
from qboxrelay.workers.words import put_from_bytes, verdicts_as_bytes

log = structlog.get_logger()


class Desk:
    """For one worker. `leave` when it is gone: what it asked for goes on, and nobody waits for its verdicts any more."""

    def __init__(self, *, puts: Puts, confirmations: Confirmations, lookup: Callable[[], Lookup | None]) -> None:
        """`lookup`: who asks the suppression list now."""
        self._puts = puts
        self._confirmations = confirmations
        self._lookup = lookup
        self._awaited: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, channel: Channel, kind: Kind, number: int, body: bytes) -> None:
        if kind is Kind.PUT:
            self._put(channel, number, body)
        elif kind is Kind.WAIT:
            self._start(self._wait(channel, number, body))
        elif kind is Kind.FORGET:
            self._forget(orjson.loads(body))
        elif kind is Kind.SUPPRESSED:
            self._start(self._suppressed(channel, number, body))

    def leave(self) -> None:
        self._forget(list(self._awaited))

    def _put(self, channel: Channel, number: int, body: bytes) -> None:
        submissions, awaited = put_from_bytes(body)
        if awaited:
            ids = [one.id for one in submissions]
            self._confirmations.expect(ids)
            self._awaited.update(ids)
        self._puts.add(Put(channel, number, submissions))

    async def _wait(self, channel: Channel, number: int, body: bytes) -> None:
        ids, seconds = orjson.loads(body)
        verdicts = None
        if self._awaited.issuperset(ids):
            verdicts = await self._confirmations.wait(ids, timedelta(seconds=seconds))
        channel.answer(number, verdicts_as_bytes(verdicts))

    def _forget(self, ids: list[str]) -> None:
        self._awaited.difference_update(ids)
        self._confirmations.forget(ids)

    async def _suppressed(self, channel: Channel, number: int, body: bytes) -> None:
        lookup = self._lookup()
        try:
            held = lookup is not None and await lookup.holds(orjson.loads(body))
        except ManagementFailure as failure:
            channel.refuse(number, orjson.dumps((failure.reason, str(failure))))
        except Exception as error:
            log.exception("worker.lookup_crashed")
            channel.refuse(number, orjson.dumps(("crashed", type(error).__name__)))
        else:
            channel.answer(number, orjson.dumps(held))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
