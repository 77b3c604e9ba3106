"""A PostgreSQL server that is away, hangs, only reads, or breaks a connection in the middle: what is answered is true, and in time."""

import asyncio
from datetime import timedelta

import psycopg
import pytest

from qboxrelay.spool.port import SpoolUnreachable
from tests.contract.spool.harness import ACCEPTED, ManualClock, claim, mail, names, scenario, sent, taken
from tests.contract.spool.way import HASTY, PATIENT, Way, until_it_works
from tests.support.postgres import shared_cluster, shared_connection
from tests.support.processes import wait_until

TOKEN = b'{"subject":"the one that is cut off"}'


@pytest.mark.parametrize("passes", [True, False], ids=["committed", "not committed"])
@scenario
async def test_cut_off_in_the_commit(way: Way, passes: bool) -> None:
    """Whether the commit came through is found out, and the mail is stored once."""
    async with way.open(PATIENT) as spool:
        await spool.put([mail("before")])
        way.proxy.cut(TOKEN, passes=passes)

        await asyncio.gather(spool.put([mail("cut", payload=TOKEN)]), spool.put([mail("beside")]))

        assert way.proxy.cuts == 1
        assert sorted(way.stored()) == ["before-1", "beside-1", "cut-1"]
        assert way.counted() == 3
        assert sorted(names(await claim(spool))) == ["before", "beside", "cut"]


@scenario
async def test_cut_off_whenever_it_commits(way: Way) -> None:
    """The server that is never heard of keeps what it got; the caller hears that nobody knows, and another try changes nothing."""
    async with way.open(HASTY) as spool:
        way.proxy.cut(TOKEN, passes=True, times=1_000_000)
        with pytest.raises(SpoolUnreachable):
            await spool.put([mail("cut", payload=TOKEN)])
        way.proxy.heal()

        await until_it_works(lambda: spool.put_again([mail("cut", payload=TOKEN)]))

        assert way.stored() == ["cut-1"]
        assert way.counted() == 1


@pytest.mark.parametrize("trouble", ["swallow", "refuse"])
@scenario
async def test_away_and_back(way: Way, trouble: str) -> None:
    """Everybody is refused in the end, and by a healed server everybody is served, without a new start."""
    async with way.open(HASTY) as spool:
        await until_it_works(lambda: spool.put([mail("before")]))
        batch = await taken(spool)
        getattr(way.proxy, trouble)()

        answers = await asyncio.gather(
            *(spool.put([mail(f"away{n}")]) for n in range(20)), spool.check_writable(), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {SpoolUnreachable}

        way.proxy.heal()
        await until_it_works(lambda: spool.put([mail("after")]))
        await until_it_works(lambda: spool.record(batch, ACCEPTED, [sent(one) for one in batch.submissions]))
        records = await spool.find("before-1")
        assert [one.state for one in records] == ["sent"]
        assert "after-1" in way.stored()


@scenario
async def test_only_reads(way: Way) -> None:
    """A standby that takes nothing: nobody is told that it was the mail's fault, and once it is promoted it takes mail."""
    async with way.open(HASTY) as spool:
        await until_it_works(lambda: spool.put([mail("before")]))
        only_read(on=True)
        try:
            way.proxy.reset()
            with pytest.raises(SpoolUnreachable):
                await spool.put([mail("away")])
        finally:
            only_read(on=False)

        await until_it_works(lambda: spool.put([mail("after")]))

        assert way.stored() == ["before-1", "after-1"]


@scenario
async def test_owners_record_first_after_an_outage(way: Way) -> None:
    """A lease that ran out while nobody could record is not taken from its owner, who knows the outcome, as soon as the server is back."""
    clock = ManualClock()
    async with way.open(HASTY, "one") as one, way.open(HASTY, "two", clock=clock) as two:
        await until_it_works(lambda: one.put([mail("sent")]))
        ran_out = timedelta(milliseconds=-1)
        batch = await one.claim("default", max_messages=10, max_bytes=10_000, lease=ran_out)
        assert batch is not None
        way.proxy.refuse()
        with pytest.raises(SpoolUnreachable):
            await two.check_writable()
        way.proxy.heal()

        await until_it_works(lambda: two.put([mail("after")]))
        assert names(await claim(two)) == ["after"]
        await until_it_works(lambda: one.record(batch, ACCEPTED, [sent(item) for item in batch.submissions]))
        assert [record.state for record in await one.find("sent-1")] == ["sent"]


@scenario
async def test_an_owner_that_does_not_come_back(way: Way) -> None:
    """Some seconds after the outage another node sends its mail."""
    clock = ManualClock()
    async with way.open(HASTY, "one") as one, way.open(HASTY, "two", clock=clock) as two:
        await until_it_works(lambda: one.put([mail("lost")]))
        assert await one.claim("default", max_messages=10, max_bytes=10_000, lease=timedelta(milliseconds=-1))
        way.proxy.refuse()
        with pytest.raises(SpoolUnreachable):
            await two.check_writable()
        way.proxy.heal()
        await until_it_works(lambda: claim(two))

        clock.advance(timedelta(seconds=11))

        assert names(await claim(two)) == ["lost"]


def only_read(*, on: bool) -> None:
    """The whole server; connections that are made from now on see it."""
    connection, word = shared_connection(), "on" if on else "off"
    connection.execute("SET default_transaction_read_only = off")
    connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}".encode())
    connection.execute("SELECT pg_reload_conf()")
    wait_until(lambda: _new_connection_says() == word, what="the server has read its settings")


def _new_connection_says() -> str:
    with psycopg.connect(shared_cluster().url(), autocommit=True) as connection:
        row = connection.execute("SHOW default_transaction_read_only").fetchone()
        return str(row[0]) if row else ""
