"""Sessions that wait for the API's verdict on what they have just stored (`accept = "confirm"`), in this process.

In: ids before they are stored; results as they are recorded. Out: what became of a transaction, or that it is not known yet. Never: a
place where mail is kept: who waits here has its mail in the spool.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from qboxrelay.model.submission import State
from qboxrelay.spool.port import RequestResult, Result


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API said of one submission."""

    accepted: bool
    text: str
    request_id: str | None
    message_id: str | None


class _Expectation:
    """One transaction whose session waits."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._pending = set(ids)
        self._verdicts: list[Verdict] = []
        self._known = asyncio.Event()
        self.alone = len(ids) == 1
        self.answering = False
        """The session is going to say what became of it, even when its time runs out before that is recorded."""

    async def wait(self, longest: timedelta) -> list[Verdict] | None:
        """A verdict for each submission; None when not all are known in time."""
        try:
            async with asyncio.timeout(longest.total_seconds()):
                await self._known.wait()
        except TimeoutError:
            if not self.answering:
                return None
            await self._known.wait()
        return None if self._pending else self._verdicts

    def settled(self, id_: str, verdict: Verdict) -> None:
        self._pending.discard(id_)
        self._verdicts.append(verdict)
        if not self._pending:
            self._known.set()

    def give_up(self) -> None:
        """Nothing more will be known here."""
        self._known.set()


class Verdicts(Protocol):
    """What a session needs that waits for a verdict: `Confirmations`, or a way to those of another process."""

    def expect(self, ids: Sequence[str]) -> None: ...

    async def wait(self, ids: Sequence[str], longest: timedelta) -> list[Verdict] | None: ...

    def forget(self, ids: Sequence[str]) -> None: ...


class Confirmations:
    """Who waits for what."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Expectation] = {}
        self._closed = False

    def expect(self, ids: Sequence[str]) -> None:
        """Begin to listen, before the submissions are stored; `forget` ends it."""
        expectation = _Expectation(ids)
        self._waiting |= dict.fromkeys(ids, expectation)
        if self._closed:
            expectation.give_up()

    async def wait(self, ids: Sequence[str], longest: timedelta) -> list[Verdict] | None:
        """A verdict for each of the submissions that were expected together; None when not all are known in time."""
        return await self._waiting[ids[0]].wait(longest)

    def forget(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self._waiting.pop(id_, None)

    def will_tell(self, id_: str) -> bool:
        """Whether a session tells the sender that this submission failed, so that no notice is needed. It is then held to it."""
        expectation = self._waiting.get(id_)
        if expectation is None or not expectation.alone:
            return False
        expectation.answering = True
        return True

    def recorded(self, id_: str, request: RequestResult, result: Result) -> None:
        """What is on the disk now may be said."""
        expectation = self._waiting.get(id_)
        if expectation is None or result.state is State.QUEUED:
            return
        if result.state is State.HELD:
            expectation.give_up()
            return
        text = result.text or request.text
        accepted = result.state is State.SENT
        expectation.settled(id_, Verdict(accepted, text, request.request_id, result.message_id))

    def lost(self, id_: str) -> None:
        """What became of it could not be recorded: nobody says it, and whoever waits goes on without."""
        if (expectation := self._waiting.get(id_)) is not None:
            expectation.give_up()

    def close(self) -> None:
        """No more verdicts will come: whoever waits goes on without."""
        self._closed = True
        for expectation in set(self._waiting.values()):
            expectation.give_up()
