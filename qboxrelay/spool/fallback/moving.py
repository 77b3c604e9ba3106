"""Moving what waits in the file to the server.

In: the file, a server that takes mail. Out: the server has it, and then the file has not. Never: mail that is in neither, or that the server
stores twice, wherever this is cut off; mail that one of its neighbours keeps from being moved.

A part is committed in the server first, and dropped from the file by the next commit. Cut off between the two it is in both, and the next time
the server finds by its ids that it is there.
"""

from collections.abc import Sequence
from typing import Protocol

import structlog

from qboxrelay import failpoints
from qboxrelay.model.submission import Submission
from qboxrelay.spool.fallback.local import Local, Waiting
from qboxrelay.spool.port import SpoolRefused

log = structlog.get_logger()


class Target(Protocol):
    """The server's spool."""

    async def put_again(self, submissions: Sequence[Submission]) -> None:
        """Store those that were never there. Raises as `Spool.put` does."""
        ...


class Mover:
    """Moves in order. `stuck` are the numbers of those that the server refuses: they are passed over until somebody clears it."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.moved = 0
        self.stuck: set[int] = set()

    async def step(self, target: Target) -> bool:
        """Move the next part; False when there is none. Raises `SpoolError`: the rest stays here."""
        # What was moved is gone, so only those that are stuck are passed over.
        part = await self._local.first(max(self.stuck, default=0))
        if not part:
            return False
        failpoints.reach("fallback-taken")
        await self._move(target, [one for one in part if one.submission.payload])
        for one in part:
            if not one.submission.payload:
                self._leave(one, "its content is missing")
        return True

    async def _move(self, target: Target, part: Sequence[Waiting]) -> None:
        if not part:
            return
        try:
            await target.put_again([one.submission for one in part])
        except SpoolRefused as error:
            # One of them is what it cannot hold.
            if len(part) == 1:
                self._leave(part[0], str(error))
                return
            for one in part:
                await self._move(target, [one])
            return
        failpoints.reach("fallback-moved")
        await self._local.drop(part)
        failpoints.reach("fallback-dropped")
        self.moved += len(part)

    def _leave(self, one: Waiting, why: str) -> None:
        self.stuck.add(one.key)
        log.error("fallback.stuck", submission=one.submission.id, error=why, hint="it stays in the file")
