"""What becomes of attempts: every state, fencing, splitting, leases that run out."""

from datetime import timedelta

import pytest

from qboxrelay.model.submission import State
from qboxrelay.spool.port import RequestResult
from tests.contract.spool.harness import (
    ACCEPTED,
    LEASE,
    Spools,
    claim,
    counts,
    failed,
    held,
    mail,
    names,
    retry,
    scenario,
    sent,
    take,
    taken,
)

SECOND = timedelta(seconds=1)
TOO_LARGE = RequestResult(status=413, error="payload_too_large", text="too large")


@scenario
async def test_every_outcome_is_kept_with_its_trail(spools: Spools) -> None:
    """One request, four ends; the API's ids stand beside ours."""
    async with spools.open() as spool:
        await spool.put([mail(name) for name in ("sent", "failed", "retry", "held")])
        batch = await taken(spool)
        one, two, three, four = batch.submissions
        later = spools.clock.now() + timedelta(minutes=1)
        await spool.record(batch, ACCEPTED, [sent(one), failed(two), retry(three, later), held(four)])
        records = {record.id: record for record in await spool.latest()}
        assert records["sent-1"].state is State.SENT
        assert (records["sent-1"].message_id, records["sent-1"].request_id) == ("sent-1@api", "request-1")
        assert (records["failed-1"].state, records["failed-1"].text) == (State.FAILED, "no such field")
        assert (records["retry-1"].state, records["retry-1"].next_attempt_at) == (State.QUEUED, later)
        assert (records["held-1"].state, records["held-1"].outcome) == (State.HELD, "unknown")
        assert await counts(spool) == spools.counted()
        assert await claim(spool) == []


@scenario
async def test_a_retry_waits_for_its_time_and_counts(spools: Spools) -> None:
    """`failures` is the step in the schedule, `attempt` the number of tries; an uncounted one moves only the latter."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        for counted in (True, False, True):
            batch = await taken(spool)
            due = spools.clock.now() + SECOND
            await spool.record(batch, TOO_LARGE, [retry(batch.submissions[0], due, counted=counted)])
            assert await spool.next_due_at("default") == due
            assert await claim(spool) == []
            spools.clock.advance(SECOND)
        (claimed,) = await claim(spool)
        assert (claimed.attempt, claimed.failures) == (4, 2)


@scenario
async def test_a_retry_without_a_time_is_due_at_once(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        (claimed,) = batch.submissions
        await spool.record(batch, TOO_LARGE, [retry(claimed, spools.clock.now() - SECOND)])
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_an_unknown_outcome_marks_every_later_attempt(spools: Spools) -> None:
    """The dispatcher must be able to say: this may be a duplicate."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        for outcome in ("unknown", "deferred"):
            batch = await taken(spool)
            await spool.record(batch, TOO_LARGE, [retry(batch.submissions[0], spools.clock.now(), outcome=outcome)])
        (claimed,) = await claim(spool)
        assert claimed.maybe_sent


@pytest.mark.parametrize("again", [False, True])
@scenario
async def test_the_owner_of_a_lease_that_ran_out_records_nothing(spools: Spools, again: bool) -> None:
    """Fencing: whether the submission was leased again or not, the old answer changes nothing."""
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b", account="other")])
        old = await taken(spool)
        spools.clock.advance(LEASE)
        if again:
            new = await taken(spool)
        else:
            assert names(await claim(spool, account="other")) == ["b"]
        await spool.record(old, ACCEPTED, [failed(old.submissions[0])])
        (record,) = await spool.find("a")
        assert record.state is (State.SENDING if again else State.QUEUED)
        assert await spool.split(old, TOO_LARGE, [[old.submissions[0].key]], LEASE) == []
        new = new if again else await taken(spool)
        assert new.submissions[0].maybe_sent
        await spool.record(new, ACCEPTED, [sent(new.submissions[0])])
        assert (await spool.find("a"))[0].state is State.SENT
        assert await counts(spool) == spools.counted()


@scenario
async def test_what_a_record_leaves_out_stays_leased_and_comes_back(spools: Spools) -> None:
    """Results may come in parts; a part that never comes is found by the lease, in this process or the next."""
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b"), mail("c")])
        batch = await taken(spool)
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        assert await take(spool) is None
        spools.clock.advance(LEASE)
        assert names(await claim(spool, messages=1)) == ["b"]
    async with spools.open() as spool:
        assert names(await claim(spool)) == ["b", "c"]
        assert await counts(spool) == spools.counted()


@scenario
async def test_recording_twice_changes_nothing(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        (claimed,) = batch.submissions
        await spool.record(batch, ACCEPTED, [sent(claimed), sent(claimed)])
        await spool.record(batch, TOO_LARGE, [failed(claimed)])
        (record,) = await spool.find("a")
        assert (record.state, record.request_id) == (State.SENT, "request-1")
        assert await counts(spool) == spools.counted() == {State.SENT: (1, 15)}


@scenario
async def test_split_leases_the_parts_anew(spools: Spools) -> None:
    """Bisecting: each part is a batch of its own, its attempts are written, and the schedule has not moved."""
    async with spools.open() as spool:
        await spool.put([mail(name) for name in "abcde"])
        batch = await taken(spool)
        keys = [claimed.key for claimed in batch.submissions]
        await spool.record(batch, TOO_LARGE, [failed(batch.submissions[0])])
        left, right = await spool.split(batch, TOO_LARGE, [keys[1:3], keys[3:]], LEASE)
        assert (names(left.submissions), names(right.submissions)) == (["b", "c"], ["d", "e"])
        assert len({batch.lease, left.lease, right.lease}) == 3
        assert {(claimed.attempt, claimed.failures) for claimed in left.submissions} == {(2, 0)}
        assert await take(spool) is None
        await spool.record(batch, ACCEPTED, [failed(claimed) for claimed in left.submissions])
        await spool.record(left, ACCEPTED, [sent(claimed) for claimed in left.submissions])
        await spool.record(right, ACCEPTED, [sent(claimed) for claimed in right.submissions])
        assert await counts(spool) == spools.counted() == {State.FAILED: (1, 15), State.SENT: (4, 60)}


@pytest.mark.parametrize("into", [State.QUEUED, State.HELD])
@pytest.mark.parametrize("crash", [False, True])
@scenario
async def test_an_attempt_nobody_recorded_is_unknown(spools: Spools, into: State, crash: bool) -> None:
    """The relay died between sending and recording: at the next start, or when the lease runs out, the mail goes back
    (marked: it may be sent twice) or is held, as the settings say.
    """
    async with spools.open(expired_into=into) as spool:
        await spool.put([mail("a")])
        await taken(spool)
        if not crash:
            spools.clock.advance(LEASE - SECOND)
            assert await take(spool) is None
            spools.clock.advance(SECOND)
            assert bool(await take(spool)) is (into is State.QUEUED)
            return
    async with spools.open(expired_into=into) as spool:
        (record,) = await spool.find("a")
        assert (record.state, record.outcome, record.reason) == (into, "unknown", "lease")
        assert await counts(spool) == spools.counted() == {into: (1, 15)}
        claimed = await claim(spool)
        assert [one.maybe_sent for one in claimed] == ([True] if into is State.QUEUED else [])


@scenario
async def test_recovery_that_is_repeated_changes_nothing(spools: Spools) -> None:
    """A start that dies and starts again converges: one unknown attempt stays one."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        await taken(spool)
    for _ in range(5):
        async with spools.open():
            pass
    async with spools.open() as spool:
        (claimed,) = await claim(spool)
        assert (claimed.attempt, claimed.failures) == (2, 0)
