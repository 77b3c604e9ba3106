"""What the spool remembers, for how long, and how much there is."""

from datetime import timedelta

import pytest

from qboxrelay.model.submission import State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import Spool
from tests.contract.spool.harness import ACCEPTED, START, Spools, claim, counts, failed, mail, scenario, sent, taken

DAY = timedelta(days=1)


async def settle(spool: Spool) -> None:
    """One sent (`s`), one failed (`f`)."""
    await spool.put([mail("s"), mail("f")])
    batch = await taken(spool, messages=2)
    await spool.record(batch, ACCEPTED, [sent(batch.submissions[0]), failed(batch.submissions[1])])


@scenario
async def test_find_knows_a_transaction_and_a_submission(spools: Spools) -> None:
    """The id of the 250 reply finds everything it became; nothing else is like it enough."""
    async with spools.open() as spool:
        await spool.put([mail("X"), mail("X-1"), mail("XY"), mail("%")])
        assert [record.id for record in await spool.find("X")] == ["X-1", "X-1-1"]
        assert [record.id for record in await spool.find("X-1-1")] == ["X-1-1"]
        assert await spool.find("Y") == []
        (record,) = await spool.find("XY")
        assert (record.client, record.recipients) == ("192.0.2.1", ("someone@example.net", "ünicode@example.net"))
        assert (record.received_at, record.attempts, record.outcome) == (START, 0, None)


@pytest.mark.parametrize(
    ("state", "found"),
    [(None, ["d-1", "c-1"]), (State.QUEUED, ["d-1", "c-1"]), (State.SENT, ["s-1"]), (State.HELD, [])],
)
@scenario
async def test_latest_shows_the_newest_first(spools: Spools, state: State | None, found: list[str]) -> None:
    async with spools.open() as spool:
        await settle(spool)
        await spool.put([mail(name) for name in "abcd"])
        assert [record.id for record in await spool.latest(state=state, limit=2)] == found


@scenario
async def test_prune_forgets_what_is_finished_long_enough(spools: Spools) -> None:
    """Never what waits, however old."""
    async with spools.open(settings=SpoolSettings(keep_trail=2 * DAY)) as spool:
        await spool.put([mail("waits", account="other")])
        await settle(spool)
        spools.clock.advance(2 * DAY)
        assert await spool.prune() == 0
        spools.clock.advance(timedelta(seconds=1))
        while await spool.prune():
            pass
        assert [record.id for record in await spool.latest()] == ["waits-1"]
        assert await counts(spool) == spools.counted() == {State.QUEUED: (1, 15)}
        assert len(await claim(spool, account="other")) == 1


@scenario
async def test_keys_that_were_pruned_do_not_come_back_as_leases(spools: Spools) -> None:
    """A fencing token is never given twice, also when all of the trail is gone."""
    async with spools.open(settings=SpoolSettings(keep_trail=DAY)) as spool:
        await spool.put([mail("a")])
        old = await taken(spool)
        await spool.record(old, ACCEPTED, [sent(old.submissions[0])])
        spools.clock.advance(2 * DAY)
        while await spool.prune():
            pass
    async with spools.open() as spool:
        await spool.put([mail("b")])
        assert (await taken(spool)).lease != old.lease


@scenario
async def test_prune_takes_small_steps(spools: Spools) -> None:
    """A session that waits for its commit does not wait for years of trail to go."""
    async with spools.open() as spool:
        for start in range(0, 900, 300):
            await spool.put([mail(str(number)) for number in range(start, start + 300)])
        for _ in range(2):
            batch = await taken(spool, messages=450)
            await spool.record(batch, ACCEPTED, [sent(claimed) for claimed in batch.submissions])
        spools.clock.advance(365 * DAY)
        steps = 0
        while await spool.prune():
            steps += 1
        assert steps > 3
        assert spools.counted() == {}


@scenario
async def test_depth_knows_how_long_the_oldest_has_waited(spools: Spools) -> None:
    async with spools.open() as spool:
        assert (await spool.depth()).oldest_queued_at is None
        await spool.put([mail("a"), mail("b", account="other")])
        assert (await spool.depth()).oldest_queued_at == START
        await claim(spool)
        await claim(spool, account="other")
        assert (await spool.depth()).oldest_queued_at is None
