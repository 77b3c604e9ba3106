"""A claim, or what else leases, whose commit is not answered: the node that made it puts its mail back as never sent, as soon as it can."""

import asyncio
from datetime import timedelta

import pytest

from qboxrelay.model.submission import Batch
from qboxrelay.spool.port import RequestResult, SpoolUnreachable
from qboxrelay.spool.postgres.spool import PostgresSpool
from tests.contract.spool.harness import ACCEPTED, LEASE, START, claim, mail, names, scenario, sent, take, taken
from tests.contract.spool.way import PATIENT, Way, until, until_it_works
from tests.support.postgres import shared_connection

COMMIT = b"COMMIT"
_LOCK = 4711
_SLOW = f"""
CREATE FUNCTION {{schema}}.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock({_LOCK}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {{schema}}.requests DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {{schema}}.wait();
"""
"""A commit waits as long as somebody has the lock."""


def outcomes(way: Way) -> list[tuple[str, bool]]:
    rows = shared_connection().execute(
        f"SELECT a.outcome, t.maybe_sent FROM {way.schema}.attempts AS a JOIN {way.schema}.states AS t ON t.key = a.submission"
        " WHERE a.outcome IS NOT NULL ORDER BY a.submission, a.number".encode()
    )
    return [(outcome, maybe) for outcome, maybe in rows]


def under_way(way: Way) -> int:
    row = shared_connection().execute(f"SELECT count(*) FROM {way.schema}.requests WHERE ended_at IS NULL".encode())
    return int(row.fetchall()[0][0])


def leased(way: Way) -> int:
    """How often, in all: what came through may be put back at any moment."""
    row = shared_connection().execute(f"SELECT count(*) FROM {way.schema}.requests".encode())
    return int(row.fetchall()[0][0])


async def found(spool: PostgresSpool) -> Batch:
    """The next claim: a transaction that is undone has its rows locked until it is."""
    async with asyncio.timeout(120):
        while (batch := await until_it_works(lambda: take(spool))) is None:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.02)
    return batch


@pytest.mark.parametrize("passes", [True, False], ids=["came through", "did not"])
@scenario
async def test_a_claim(way: Way, passes: bool) -> None:
    """The next claim has the mail, without waiting for the end of a lease, and no outcome is unknown."""
    async with way.open(PATIENT) as spool:
        await spool.put([mail("a"), mail("b")])
        way.proxy.cut(COMMIT, passes=passes)
        with pytest.raises(SpoolUnreachable):
            await take(spool)
        way.proxy.heal()
        # A server that had the commit is done with it a moment later.
        await until(lambda: leased(way) == passes)

        batch = await found(spool)

        assert names(batch.submissions) == ["a", "b"]
        assert [one.attempt for one in batch.submissions] == [1 + passes] * 2
        assert not any(one.maybe_sent for one in batch.submissions)
        assert outcomes(way) == [("deferred", False)] * 2 * passes
        await spool.record(batch, ACCEPTED, [sent(one) for one in batch.submissions])
        assert [one.state for one in await spool.latest()] == ["sent"] * 2
        assert under_way(way) == 0


@scenario
async def test_a_claim_after_which_nobody_claims(way: Way) -> None:
    """As while every account is closed: the mail is put back all the same, and who waits for work hears of it."""
    async with way.open(PATIENT) as spool:
        await spool.put([mail("a"), mail("b")])
        way.proxy.cut(COMMIT, passes=True)
        with pytest.raises(SpoolUnreachable):
            await take(spool)
        way.proxy.heal()

        await until(lambda: outcomes(way) == [("deferred", False)] * 2)

        assert under_way(way) == 0
        assert [one.state for one in await spool.latest()] == ["queued"] * 2
        async with asyncio.timeout(120):
            await spool.wait_for_work("default")


@scenario
async def test_a_claim_of_what_is_overdue(way: Way) -> None:
    """As any other."""
    async with way.open(PATIENT) as spool:
        await spool.put([mail("a")])
        way.proxy.cut(COMMIT, passes=True)
        with pytest.raises(SpoolUnreachable):
            await spool.claim_overdue(
                "default",
                received_before=START + timedelta(days=1),
                max_messages=10,
                max_bytes=10_000,
                lease=LEASE,
            )
        way.proxy.heal()
        await until(lambda: leased(way) == 1)

        assert names((await found(spool)).submissions) == ["a"]


@scenario
async def test_the_halves_of_a_batch(way: Way) -> None:
    """Nobody knows that they are leased anew: they come back, too."""
    async with way.open(PATIENT) as spool:
        await spool.put([mail("a"), mail("b")])
        batch = await taken(spool)
        keys = [[one.key] for one in batch.submissions]
        way.proxy.cut(COMMIT, passes=True)
        with pytest.raises(SpoolUnreachable):
            await spool.split(batch, RequestResult(), keys, LEASE)
        way.proxy.heal()
        await until(lambda: leased(way) == 3)
        # As the dispatcher does: again until it is heard.
        assert await until_it_works(lambda: spool.split(batch, RequestResult(), keys, LEASE)) == []

        assert sorted(names((await found(spool)).submissions)) == ["a", "b"]
        assert {state for state, _ in outcomes(way)} == {"deferred"}


@scenario
async def test_a_claim_that_comes_through_late(way: Way) -> None:
    """The server stands still in the middle of the commit: it is looked for until it is there, and who waits for work is woken."""
    async with way.open(PATIENT) as spool:
        await spool.put([mail("a")])
        shared_connection().execute(_SLOW.format(schema=way.schema).encode())
        shared_connection().execute(f"SELECT pg_advisory_lock({_LOCK})".encode())
        try:
            claiming = asyncio.create_task(take(spool))
            await until(_commit_waits)
            way.proxy.reset()
            with pytest.raises(SpoolUnreachable):
                await claiming
            assert await until_it_works(lambda: claim(spool)) == []
            assert outcomes(way) == []
        finally:
            shared_connection().execute(f"SELECT pg_advisory_unlock({_LOCK})".encode())
        await until(lambda: leased(way) == 1)

        async with asyncio.timeout(120):
            await spool.wait_for_work("default")

        assert names(await claim(spool)) == ["a"]
        assert outcomes(way) == [("deferred", False)]


def _commit_waits() -> bool:
    waiting = shared_connection().execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    return waiting.fetchone() is not None
