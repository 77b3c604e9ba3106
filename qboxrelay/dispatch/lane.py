"""The story of sending for one account: wait until it may, claim, send, and again.

In: the spool's batches for one account. Out: requests. Never: two requests for one lease, a request with a lease that may run out
under way, or a surprise that ends the lane.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from qboxrelay.dispatch.gate import Condition, Gate, Status
from qboxrelay.dispatch.overdue import Overdue
from qboxrelay.dispatch.rate import RateLimit
from qboxrelay.dispatch.record import Recorder
from qboxrelay.dispatch.request import Requests
from qboxrelay.dispatch.size import BatchSize
from qboxrelay.dispatch.turns import Turns
from qboxrelay.dispatch.wait import first_of
from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Batch
from qboxrelay.settings.schema import AccountSettings, DeliverySettings
from qboxrelay.spool.port import Spool, SpoolError, SpoolShortOfMemory

log = structlog.get_logger()

_AFTER_TROUBLE = timedelta(seconds=2)
_TOKEN_LOOK = timedelta(seconds=1)
_LOOK_AGAIN = timedelta(seconds=30)
"""Longest wait for a time of day, because a clock that was set meanwhile must not strand mail; and for a turn among relays, because the account
may be paused meanwhile, and what is leased goes back then.
"""
_PROBE_LOOK = timedelta(seconds=2)
_PROBE_MESSAGES = 1
_CLAIM_AHEAD = 0.02
"""Seconds that a large claim may take: done before the request may start, so that they cost no rate."""


@dataclass(frozen=True, slots=True)
class _Leased:
    """What is leased and not sent yet: mostly a half of a request that was refused as a whole. `send_by` is monotonic."""

    batch: Batch
    send_by: float


class Lane:
    """One account's lane. `run` until `stop`; it returns when the requests under way are recorded."""

    def __init__(
        self,
        *,
        account: AccountSettings,
        settings: DeliverySettings,
        spool: Spool,
        requests: Requests,
        recorder: Recorder,
        gate: Gate,
        size: BatchSize,
        rate: RateLimit,
        clock: Clock,
        token_changed: Callable[[], bool],
        turns: Turns | None = None,
        may_probe: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """Where other relays work on the same spool: `turns` of the token, and who probes an account for all of them."""
        self._account = account
        self._settings = settings
        self._spool = spool
        self._requests = requests
        self._recorder = recorder
        self._gate = gate
        self._size = size
        self._clock = clock
        self._token_changed = token_changed
        self._turns = turns
        self._may_probe = may_probe
        self._nudged = asyncio.Event()
        self._overdue = Overdue(account=account, settings=settings, spool=spool, requests=requests, clock=clock)
        self._rate = rate
        self._in_flight = 0
        self._halves: deque[_Leased] = deque()
        self._halves_turn = True
        self._answered = asyncio.Event()
        self._stopping = asyncio.Event()
        self._no_turn_before = 0.0
        """Monotonic: when the next turn among all relays comes, where the last one asked for was too far off."""
        self._step_began: float | None = None
        """Monotonic; None while it waits for something that will wake it."""

    def stop(self) -> None:
        """Take no more from the spool."""
        self._stopping.set()

    def wake(self) -> None:
        """The gate is another than it was."""
        self._nudged.set()

    def status(self) -> Status:
        return self._gate.status(self._clock.monotonic())

    def busy_seconds(self) -> float:
        """How long the step under way has taken; 0 while it waits. Steps are short, unless something is stuck."""
        return 0.0 if self._step_began is None else self._clock.monotonic() - self._step_began

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                self._step_began = self._clock.monotonic()
                batch = await self._take()
                if batch is not None:
                    self._rate.take(self._clock.monotonic())
                    self._in_flight += 1
                    group.create_task(self._send(batch), name=f"request-{batch.request_key}")
            self._step_began = None
        await self._return_halves(float("inf"))

    async def _take(self) -> Batch | None:
        try:
            return await self._next()
        except SpoolError as error:
            # The spool's own words say it all; a traceback would only repeat them.
            log.error("claim.failed", account=self._account.name, error=str(error))  # noqa: TRY400 - see above
            if isinstance(error, SpoolShortOfMemory):
                # A claim of one mail needs least of it, and what other tasks failed with may wait in circles of references, which an idle
                # process would not look for in minutes.
                self._size.restart()
                gc.collect()
        except Exception:
            log.exception("lane.crashed", account=self._account.name, hint="it goes on after a pause")
        await self._wait(self._clock.sleep(_AFTER_TROUBLE))
        return None

    async def _next(self) -> Batch | None:
        """The next batch to send; None when there is none after a wait, which then begins anew."""
        if self._recorder.behind:
            await self._wait(self._recorder.caught_up())
            return None
        now = self._clock.monotonic()
        closed = self._gate.wait(now)
        rest = max(self._rate.wait(now), self._no_turn_before - now)
        await self._return_halves(now + max(closed, rest))
        if closed > 0:
            if not await self._overdue.give_up(self._gate.status(now)):
                await self._wait_for_gate(closed)
            return None
        if (delay := rest - _CLAIM_AHEAD) > 0:
            await self._wait(self._clock.sleep(min(timedelta(seconds=delay), _LOOK_AGAIN)))
            return None
        if not await self._has_room():
            return None
        leased = await self._choose()
        return None if leased is None else await self._at_its_time(leased)

    async def _has_room(self) -> bool:
        """Whether one more request may be under way; False after a wait."""
        if self._in_flight >= self._most_in_flight():
            self._answered.clear()
            await self._wait(self._answered.wait())
            return False
        if self._may_probe is not None and self._gate.asks:
            if await self._may_probe(self._account.name):
                return True
            # Another relay finds out.
            await self._wait(self._woken(), self._clock.sleep(_PROBE_LOOK))
            return False
        return True

    async def _choose(self) -> _Leased | None:
        """Halves and what waits in the spool take turns: mail that is refused in masses keeps nobody else's waiting."""
        self._halves_turn = not self._halves_turn
        waiting = sum(half.batch.payload_bytes for half in self._halves)
        # More than a request's worth in memory is sent before there is more of it.
        if not self._halves or not (self._halves_turn or waiting > self._size.bytes):
            leased_at = self._clock.monotonic()
            batch = await self._claim()
            if batch is not None:
                return self._leased(batch, leased_at)
        return self._halves.popleft() if self._halves else None

    async def _at_its_time(self, leased: _Leased) -> Batch | None:
        """The batch, when the rate lets it go; None when the account was closed meanwhile."""
        goes = False
        try:
            # Another lane of the same token may have been quicker.
            goes = await self._reached(self._rate.wait, leased) and await self._has_turn(leased)
        finally:
            if not goes:
                self._halves.appendleft(leased)
        return leased.batch if goes else None

    async def _has_turn(self, leased: _Leased) -> bool:
        """Among all relays; and whether the account is still open."""
        while self._turns is not None:
            turn = await self._turns.next(leased.send_by)
            if not turn.taken:
                # It would come too late for the lease. To take it all the same would put off those of all relays, and of this one's next try.
                self._no_turn_before = turn.starts_at
                return False
            # A slow server may have taken what the lease allows for.
            if self._clock.monotonic() > leased.send_by or not await self._reached(turn.wait, leased):
                return False
            if self._turns.use(turn, self._clock.monotonic()):
                break
        return self._gate.wait(self._clock.monotonic()) == 0

    async def _reached(self, wait: Callable[[float], float], leased: _Leased) -> bool:
        """Wait as long as `wait` says; False when the lane is to stop, or the lease would not last."""
        while (delay := wait(now := self._clock.monotonic())) > 0:
            if self._stopping.is_set() or now + delay > leased.send_by:
                return False
            await self._wait(self._clock.sleep(timedelta(seconds=delay)))
        return True

    async def _claim(self) -> Batch | None:
        batch = await self._spool.claim(
            self._account.name,
            max_messages=_PROBE_MESSAGES if self._gate.probing else self._size.messages,
            max_bytes=self._size.bytes,
            lease=self._settings.lease,
        )
        if batch is None and not self._halves:
            await self._wait_for_work()
        return batch

    def _most_in_flight(self) -> int:
        return 1 if self._gate.probing else self._account.max_requests_in_flight

    async def _wait_for_gate(self, seconds: float) -> None:
        """While the token is what is wrong, look now and then whether there is a new one."""
        delay = timedelta(seconds=seconds)
        if self._gate.condition is not Condition.CONFIGURATION:
            await self._wait(self._clock.sleep(delay), self._woken())
            return
        await self._wait(self._clock.sleep(min(delay, _TOKEN_LOOK)), self._woken())
        if self._token_changed():
            self._gate.token_changed()

    async def _wait_for_work(self) -> None:
        due = await self._spool.next_due_at(self._account.name)
        waits: list[Coroutine[Any, Any, object]] = [
            self._spool.wait_for_work(self._account.name),
            self._halves_arrive(),
        ]
        if due is not None:
            delay = max(timedelta(), due - self._clock.now())
            waits.append(self._clock.sleep(min(delay, _LOOK_AGAIN)))
        await self._wait(*waits)

    async def _woken(self) -> None:
        await self._nudged.wait()
        self._nudged.clear()

    async def _halves_arrive(self) -> None:
        while not self._halves:
            self._answered.clear()
            await self._answered.wait()

    async def _wait(self, *waits: Coroutine[Any, Any, object]) -> None:
        """Until one of these, or until the lane is to stop."""
        self._step_began = None
        await first_of(*waits, self._stopping.wait())
        self._step_began = self._clock.monotonic()

    async def _send(self, batch: Batch) -> None:
        try:
            halves = await self._requests.send(batch)
            self._halves.extend(self._leased(half, self._clock.monotonic()) for half in halves)
        finally:
            self._in_flight -= 1
            self._answered.set()

    def _leased(self, batch: Batch, since: float) -> _Leased:
        """For a batch whose lease did not begin before then, monotonic. A claim may be answered long after it was granted: by a server that is
        slow, or to a process that was stopped meanwhile.
        """
        usable = self._settings.lease - self._settings.request_deadline
        return _Leased(batch, since + usable.total_seconds())

    async def _return_halves(self, until: float) -> None:
        """Give back what cannot be sent by then with its lease, and everything when the account is paused."""
        late = [half for half in self._halves if half.send_by <= until or self._gate.paused]
        for half in late:
            self._halves.remove(half)
            await self._recorder.give_back(half.batch, "postponed")
