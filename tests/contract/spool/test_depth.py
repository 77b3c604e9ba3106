"""How much waits for whom, and how old it is."""

from dataclasses import replace
from datetime import timedelta

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.submission import State, Submission
from qboxrelay.spool.port import AccountDepth, Spool
from qboxrelay.status.figures import SpoolFigures
from tests.contract.spool.harness import ACCEPTED, LEASE, START, Spools, mail, scenario, sent

MINUTE = timedelta(minutes=1)


def late(submission: Submission) -> Submission:
    """The same, received a minute later."""
    return replace(submission, received_at=START + MINUTE)


async def by_account(spool: Spool) -> dict[tuple[str, State], AccountDepth]:
    return {(one.account, one.state): one for one in (await spool.depth()).accounts}


@scenario
async def test_oldest_by_account_and_state(spools: Spools) -> None:
    """Each account's own; the oldest of all is that of the account that waits longest."""
    async with spools.open() as spool:
        await spool.put([mail("a", account="first")])
        await spool.put([late(mail("b", account="second")), late(mail("c", account="first"))])
        batch = await spool.claim("first", max_messages=1, max_bytes=10_000, lease=LEASE)
        assert batch is not None
        depth, found = await spool.depth(), await by_account(spool)

        assert found["first", State.SENDING].oldest_at == START
        assert found["first", State.QUEUED].oldest_at == found["second", State.QUEUED].oldest_at == START + MINUTE
        assert depth.oldest_queued_at == START + MINUTE
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        ended = await by_account(spool)
        assert (ended["first", State.SENT].messages, ended["first", State.SENT].oldest_at) == (1, None)
        assert (ended["first", State.SENDING].messages, ended["first", State.SENDING].oldest_at) == (0, None)


@scenario
async def test_oldest_behind_very_many_of_another_account_is_bounded(spools: Spools) -> None:
    """The look ends after ten thousand rows: what comes behind them is no older than the last of them."""
    async with spools.open() as spool:
        for start in range(0, 10_000, 1000):
            await spool.put([mail(f"m{start + number}", account="flood") for number in range(1000)])
        await spool.put([late(mail("late", account="calm"))])
        found = await by_account(spool)

        assert found["flood", State.QUEUED].oldest_at == START
        assert found["calm", State.QUEUED].oldest_at == START


@scenario
async def test_figures_outlive_a_spool_that_cannot_be_read(spools: Spools) -> None:
    """The scrape goes on with what was known, and says that it is old; accounts without mail stand at 0 in every state."""
    async with spools.open() as spool:
        figures = SpoolFigures(spool, ["first", "second"], SystemClock())
        await spool.put([mail("a", account="first")])
        await figures.refresh()
        known = figures.latest()
    await figures.refresh()
    old = figures.latest()
    counted = {(one.account, one.state): one.messages for one in known.waiting}

    assert known.readable
    assert counted == {(account, state.value): 0 for account in ("first", "second") for state in State} | {
        ("first", "queued"): 1
    }
    assert (old.waiting, old.readable) == (known.waiting, False)
