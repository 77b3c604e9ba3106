"""What relays on one spool tell each other about their accounts.

In: gates with news, conditions that other relays found. Out: gates that agree, and the right to find out whether a pause is over. Never: a lane that
waits for another relay; two relays that probe one account; an end of it because the spool is in trouble.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from qboxrelay.dispatch.gate import Condition, Gate, Status
from qboxrelay.dispatch.report import Reporter
from qboxrelay.dispatch.wait import first_of
from qboxrelay.model.clock import Clock
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.shared import Shared, SharedCondition

log = structlog.get_logger()

_TO_START = timedelta(seconds=30)
"""How long after it got the right to probe a relay may start the request."""
_AGAIN = timedelta(seconds=2)
_TELL_SECONDS = 2.0
"""Longest that an outcome waits to be recorded because the others are told first."""
_RUNNING = Status(Condition.RUNNING, "", 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Member:
    """One account here. `token` returns the digest of its token; `wake` has its lane look at the gate."""

    account: str
    gate: Gate
    token: Callable[[], bytes]
    wake: Callable[[], None]


class Agreement:
    """`run` until `stop`."""

    def __init__(
        self,
        *,
        shared: Shared,
        members: Callable[[], Iterable[Member]],
        reporter: Reporter,
        clock: Clock,
        request_deadline: timedelta,
    ) -> None:
        self._shared = shared
        self._members = members
        self._reporter = reporter
        self._clock = clock
        self._lease = request_deadline + 2 * _TO_START
        self._heard: dict[str, SharedCondition] = {}
        """The latest of each account."""
        self._rights: dict[str, float] = {}
        """By account: until when a probe may start, monotonic."""
        self._exchanging = asyncio.Lock()
        self._woken = asyncio.Event()
        self._stopping = False
        self._failing = False

    def news(self) -> None:
        """Of one of the gates."""
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        while not self._stopping:
            try:
                await self.exchange()
            except SpoolError as error:
                self._failed(error)
                await first_of(self._stopped(), self._clock.sleep(_AGAIN))
            else:
                self._failing = False
                await first_of(self._woken.wait(), self._shared.changed())
                self._woken.clear()

    async def exchange(self) -> None:
        """Tell what is new here, then hear what is new elsewhere. Raises `SpoolError`."""
        async with self._exchanging:
            await self._exchange()

    async def heed(self, account: str, version: int) -> None:
        """Know of the account what all could know. Raises `SpoolError`."""
        if version != (self._heard[account].version if account in self._heard else 0):
            await self.exchange()

    async def told(self) -> None:
        """Return when the others could know what is new here, or cannot be told now."""
        if any(member.gate.news for member in self._members()):
            with contextlib.suppress(SpoolError, TimeoutError):
                async with asyncio.timeout(_TELL_SECONDS):
                    await self.exchange()

    async def _exchange(self) -> None:
        for member in self._members():
            if member.gate.news:
                await self._tell(member)
        heard = {one.account: one for one in await self._shared.conditions()}
        for member in self._members():
            if member.account in heard:
                self._hear(member, heard[member.account])

    async def may_probe(self, account: str) -> bool:
        """Whether this relay finds out if the account's shared condition is over. Raises `SpoolError`."""
        now = self._clock.monotonic()
        if self._rights.get(account, now) > now:
            return True
        if not await self._shared.may_probe(account, self._lease):
            return False
        self._rights[account] = now + _TO_START.total_seconds()
        return True

    async def _tell(self, member: Member) -> None:
        gate, token = member.gate, member.token()
        status, before = gate.status(self._clock.monotonic()), self._heard.get(member.account)
        # Before the first wait: an answer that comes meanwhile is news again.
        gate.news = False
        try:
            if status.condition is not Condition.RUNNING:
                await self._tell_pause(member.account, status, token)
            elif before is not None:
                await self._shared.recovered(member.account, before.version)
        except BaseException:
            gate.news = True
            raise
        if gate.condition is Condition.RUNNING:
            gate.shared = gate.news
        self._rights.pop(member.account, None)

    async def _tell_pause(self, account: str, status: Status, token: bytes) -> None:
        before = self._heard.get(account)
        await self._shared.tell(
            account,
            status.condition.value,
            reason=status.reason,
            token=token,
            wait=timedelta(seconds=status.wait_seconds),
        )
        if status.condition is Condition.RATE and (before is None or before.condition != Condition.RATE):
            await self._shared.slow_down(token)

    def _hear(self, member: Member, one: SharedCondition) -> None:
        before = self._heard.get(member.account)
        self._heard[member.account] = one
        if before is not None and before.version != one.version:
            self._rights.pop(member.account, None)
        now, told = self._clock.monotonic(), _status(one)
        if one.condition == Condition.CONFIGURATION and one.token != member.token():
            # A wrong token is no trouble of who has another one; the lane sees itself when that is new.
            if member.gate.condition is Condition.CONFIGURATION:
                return
            told = _RUNNING
        if member.gate.hear(told, now):
            self._reporter.condition(member.account, member.gate.status(now))
            member.wake()

    def _failed(self, error: SpoolError) -> None:
        """Said once."""
        if not self._failing:
            log.warning(
                "agreement.failed", error=str(error), hint="each relay goes by what it finds out itself meanwhile"
            )
        self._failing = True

    async def _stopped(self) -> None:
        while not self._stopping:
            self._woken.clear()
            await self._woken.wait()


def _status(one: SharedCondition) -> Status:
    """A word of a newer version is none that this one could go by."""
    if one.condition not in set(Condition):
        return _RUNNING
    return Status(Condition(one.condition), one.reason, one.lasted.total_seconds(), one.wait.total_seconds())
