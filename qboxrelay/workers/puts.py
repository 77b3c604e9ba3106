"""Mail of all workers on its way into the spool: what arrives in one turn of the event loop is handed over together.

In: submissions with the questions that they came in. Out: answers, after the commit. Never: one mail's refusal for its neighbours; a commit
that failed tried again: a failed fsync is reported once, and the next one would seem to succeed.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog

from qboxrelay.intake.admission import Keeping
from qboxrelay.model.submission import Submission
from qboxrelay.spool.port import SpoolCommitFailed, SpoolDamaged, SpoolError, SpoolUnreachable
from qboxrelay.workers.words import error_as_bytes

log = structlog.get_logger()

_OF_THE_STORE = (SpoolCommitFailed, SpoolDamaged, SpoolUnreachable)
"""No mail is to blame for these."""


class Answering(Protocol):
    """What is needed of a channel."""

    def answer(self, number: int, body: bytes = b"") -> None: ...

    def refuse(self, number: int, body: bytes) -> None: ...


class Put(NamedTuple):
    """One mail, and who asked for it to be kept."""

    channel: Answering
    number: int
    submissions: list[Submission]


class Puts:
    """For all workers."""

    def __init__(self, spool: Keeping) -> None:
        self._spool = spool
        self._arrived: list[Put] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, put: Put) -> None:
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._arrived.append(put)

    def _hand_over(self) -> None:
        puts, self._arrived = self._arrived, []
        task = asyncio.create_task(self._keep(puts))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, puts: Sequence[Put]) -> None:
        try:
            await self._spool.put([one for put in puts for one in put.submissions])
        except SpoolError as error:
            await self._failed(puts, error)
        except Exception as error:
            log.exception("worker.put_crashed")
            await self._failed(puts, SpoolError(f"an internal error: {type(error).__name__}"))
        else:
            for put in puts:
                put.channel.answer(put.number)

    async def _failed(self, puts: Sequence[Put], error: SpoolError) -> None:
        """Nothing of it was kept. Alone each hears its own reason; the spool commits them together all the same."""
        if len(puts) > 1 and not isinstance(error, _OF_THE_STORE):
            await asyncio.gather(*(self._keep([put]) for put in puts))
            return
        for put in puts:
            put.channel.refuse(put.number, error_as_bytes(error))
