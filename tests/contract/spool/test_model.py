"""The spool against a model in memory, through any order of calls, crashes and clock jumps.

`TESTS_SPOOL_EXAMPLES` says how many runs; the default keeps the suite quick.
"""

import asyncio
import os
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from qboxrelay.model.submission import Batch, Claimed, State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import RequestResult, Result, Spool
from qboxrelay.spool.queue import POSSIBLE, Act
from tests.contract.spool.harness import ACCOUNT, BACKENDS, HORIZON, LEASE, Counted, Spools, counts, mail, spools_of

KEEP = timedelta(days=2)
SETTINGS = SpoolSettings(keep_trail=KEEP)
ENDS = st.sampled_from([State.SENT, State.FAILED, State.HELD, State.QUEUED, None])
"""What becomes of one submission; None: nothing is recorded of it yet."""


@dataclass(slots=True)
class Mail:
    """What the model knows of one submission."""

    name: str
    order: tuple[int, int]
    client: str
    size: int
    state: State = State.QUEUED
    due: datetime | None = None
    owner: str = ""
    attempts: int = 0
    failures: int = 0
    maybe_sent: bool = False
    finished_at: datetime | None = None


class SpoolMachine(RuleBasedStateMachine):
    """One account; every rule does to the model what the port promises, and compares."""

    def __init__(self, spools: Spools) -> None:
        super().__init__()
        self.spools = spools
        self.clock = spools.clock
        self.runner = asyncio.Runner()
        self.mails: dict[str, Mail] = {}
        self.batches: list[tuple[Batch, float]] = []
        self.into = State.QUEUED
        self.number = 0
        self.stack = AsyncExitStack()
        self.reopen(State.QUEUED)

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    @rule(
        client=st.sampled_from("abc"),
        sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
        priority=st.integers(-1, 1),
    )
    def put(self, client: str, sizes: list[int], priority: int) -> None:
        entries = []
        for size in sizes:
            self.number += 1
            name = str(self.number)
            self.mails[name] = Mail(name=name, order=(-priority, self.number), client=client, size=size)
            entries.append(mail(name, client=client, payload=b"x" * size, priority=priority))
        self.runner.run(self.spool.put(entries))

    @rule(messages=st.integers(1, 6), size=st.sampled_from([60, 1_000_000]))
    def claim(self, messages: int, size: int) -> None:
        self._end_leases()
        due = self._promote()
        batch = self.runner.run(self.spool.claim(ACCOUNT, max_messages=messages, max_bytes=size, lease=LEASE))
        assert (batch is None) == (not due)
        if batch is None:
            return
        claimed = [self._same(one) for one in batch.submissions]
        assert len(claimed) <= messages
        assert len(claimed) == 1 or sum(one.size + 1 for one in claimed) <= size
        if size > 1000:
            assert len(claimed) == min(messages, len(due))
        self._fair(claimed, due, limited=size < 1000)
        self._lease(batch)

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), wait=st.integers(0, 7200), counted=st.booleans(), unknown=st.booleans())
    def record(self, data: st.DataObject, wait: int, counted: bool, unknown: bool) -> None:
        batch, _ = self.batches[data.draw(st.integers(0, len(self.batches) - 1))]
        at = self.clock.now() + timedelta(seconds=wait)
        results = []
        for one in batch.submissions:
            state = data.draw(ENDS)
            if state is not None:
                results.append(self._result(one, state, at, counted=counted, unknown=unknown))
                self._settle(batch, one, results[-1])
        self.runner.run(self.spool.record(batch, RequestResult(status=202), results))

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.batches) - 1))
        batch, _ = self.batches[index]
        middle = data.draw(st.integers(0, len(batch.submissions)))
        keys = [one.key for one in batch.submissions]
        parts = self.runner.run(
            self.spool.split(batch, RequestResult(status=413), [keys[:middle], keys[middle:]], LEASE)
        )
        owned = {one.key for one in batch.submissions if self.mails_owned_by(batch, one)}
        assert {one.key for part in parts for one in part.submissions} == owned
        for part in parts:
            self._lease(part)

    @rule(seconds=st.sampled_from([1, 100, int(LEASE.total_seconds()), 3600, 86400]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule(hours=st.sampled_from([-48, -5, -1, 1, 5, 72]))
    def set_the_clock(self, hours: int) -> None:
        self.clock.jump(timedelta(hours=hours))

    @precondition(lambda self: self.mails)
    @rule(data=st.data(), act=st.sampled_from(Act))
    def operate(self, data: st.DataObject, act: Act) -> None:
        """An operator beside the spool, with any submission in any state."""
        one = self.mails[data.draw(st.sampled_from(sorted(self.mails)))]
        # What was followed last may be told again after a restart.
        self.runner.run(self.spool.follow())
        (done,) = self.runner.run(self.spools.queue().act(act, [f"{one.name}-1"], by="somebody"))
        assert done.before is one.state
        kept = act is Act.HOLD or act is Act.DELETE or one.state is not State.SENT
        assert (done.refused == "") == (one.state in POSSIBLE[act] and kept)
        assert len(self.runner.run(self.spool.follow())) == (not done.refused)
        if done.refused:
            return
        if act is Act.DELETE:
            del self.mails[one.name]
        elif act is Act.HOLD:
            one.state, one.due = State.HELD, None
        else:
            one.state, one.due, one.failures, one.finished_at = State.QUEUED, None, 0, None

    @rule()
    def prune(self) -> None:
        while self.runner.run(self.spool.prune()):
            pass
        before = self.clock.now() - KEEP
        self.mails = {
            name: one for name, one in self.mails.items() if one.finished_at is None or one.finished_at >= before
        }

    @rule(into=st.sampled_from([State.QUEUED, State.HELD]))
    def reopen(self, into: State) -> None:
        """A crash: whatever is under way has an unknown end."""
        self.runner.run(self.stack.aclose())
        self.into = into
        opened = self.spools.open(settings=SETTINGS, expired_into=into)
        self.spool: Spool = self.runner.run(self.stack.enter_async_context(opened))
        self.batches = [(batch, self.clock.monotonic()) for batch, _ in self.batches]
        self._end_leases()

    @invariant()
    def figures_are_equal(self) -> None:
        expected: Counted = {}
        for one in self.mails.values():
            messages, size = expected.get(one.state, (0, 0))
            expected[one.state] = (messages + 1, size + one.size)
        assert self.runner.run(counts(self.spool)) == self.spools.counted() == expected

    @invariant()
    def next_due_at_is_right(self) -> None:
        now = self.clock.now()
        times = [
            now if one.due is None or one.due > now + HORIZON else one.due
            for one in self.mails.values()
            if one.state is State.QUEUED
        ]
        ends = {
            until for batch, until in self.batches if any(self.mails_owned_by(batch, one) for one in batch.submissions)
        }
        times += [
            now + max(timedelta(seconds=until - self.clock.monotonic()), self.spools.look_again) for until in ends
        ]
        due = self.runner.run(self.spool.next_due_at(ACCOUNT))
        # A time that has passed means now, whichever of them it is.
        assert (due and max(due, now)) == (max(min(times), now) if times else None)

    def mails_owned_by(self, batch: Batch, one: Claimed) -> bool:
        known = self.mails.get(one.transaction_id)
        return known is not None and known.state is State.SENDING and known.owner == batch.lease

    def _promote(self) -> list[Mail]:
        now = self.clock.now()
        for one in self.mails.values():
            if one.due is not None and (one.due <= now or one.due > now + HORIZON):
                one.due = None
        return [one for one in self.mails.values() if one.state is State.QUEUED and one.due is None]

    def _same(self, claimed: Claimed) -> Mail:
        one = self.mails[claimed.transaction_id]
        assert len(claimed.payload) == one.size
        assert (claimed.attempt, claimed.failures, claimed.maybe_sent) == (
            one.attempts + 1,
            one.failures,
            one.maybe_sent,
        )
        return one

    def _fair(self, claimed: list[Mail], due: list[Mail], *, limited: bool) -> None:
        """Each client's first ones of each priority; and no client two more than one that still waits."""
        shares: dict[str, int] = {}
        for client in {one.client for one in due}:
            line = [one for one in due if one.client == client]
            mine = [one for one in claimed if one.client == client]
            for priority in {one.order[0] for one in line}:
                waiting = sorted(one.order for one in line if one.order[0] == priority)
                taken = [one.order for one in mine if one.order[0] == priority]
                assert taken == waiting[: len(taken)]
            shares[client] = len(mine) if len(mine) < len(line) else 10**6
        if not limited:
            most = max(sum(one.client == client for one in claimed) for client in shares)
            assert most - min(shares.values()) <= 1

    def _lease(self, batch: Batch) -> None:
        for claimed in batch.submissions:
            one = self.mails[claimed.transaction_id]
            one.state, one.owner, one.attempts, one.due = State.SENDING, batch.lease, claimed.attempt, None
        self.batches.append((batch, self.clock.monotonic() + LEASE.total_seconds()))

    def _end_leases(self) -> None:
        now = self.clock.monotonic()
        for batch, _ in [entry for entry in self.batches if entry[1] <= now]:
            for claimed in batch.submissions:
                if self.mails_owned_by(batch, claimed):
                    one = self.mails[claimed.transaction_id]
                    one.state, one.maybe_sent = self.into, True

    def _result(self, one: Claimed, state: State, at: datetime, *, counted: bool, unknown: bool) -> Result:
        return Result(
            key=one.key,
            state=state,
            outcome="unknown" if unknown else "some",
            next_attempt_at=at if state is State.QUEUED else None,
            counted=counted,
        )

    def _settle(self, batch: Batch, claimed: Claimed, result: Result) -> None:
        if not self.mails_owned_by(batch, claimed):
            return
        one = self.mails[claimed.transaction_id]
        one.state, one.due = result.state, result.next_attempt_at
        one.failures += result.counted
        one.maybe_sent |= result.outcome == "unknown"
        if result.state in {State.SENT, State.FAILED}:
            one.finished_at = self.clock.now()


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_the_spool_does_what_its_model_does(backend: str) -> None:
    """No order of calls loses a submission, forgets an attempt, or lets two owners have one."""
    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(1_000_000))

        class Machine(SpoolMachine):
            def __init__(self) -> None:
                place = Path(folder) / str(next(number))
                place.mkdir()
                super().__init__(spools_of(backend, place))

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=int(os.environ.get("TESTS_SPOOL_EXAMPLES", "20")),
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
