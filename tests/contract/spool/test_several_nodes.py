"""Several relays on one PostgreSQL spool: whoever leases a mail has it alone, and a node that is gone or slow costs nothing."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.model.submission import NoticeKind, State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import RequestResult, SpoolFull
from qboxrelay.spool.postgres.leasing import LOOK_AGAIN
from qboxrelay.spool.postgres.spool import PostgresSpool
from qboxrelay.spool.queue import Act
from tests.contract.spool.harness import (
    ACCEPTED,
    ACCOUNT,
    LEASE,
    PostgresSpools,
    claim,
    counts,
    failed,
    mail,
    names,
    scenario,
    sent,
    take,
    taken,
)
from tests.support.postgres import require_postgres, shared_connection

SECOND = timedelta(seconds=1)
PATIENCE = 60


@pytest.fixture
def spools(tmp_path: Path) -> PostgresSpools:
    require_postgres()
    return PostgresSpools(tmp_path)


async def both(spools: PostgresSpools, stack: AsyncExitStack) -> tuple[PostgresSpool, PostgresSpool]:
    one = await stack.enter_async_context(spools.open(node="one"))
    return one, await stack.enter_async_context(spools.open(node="two"))


@scenario
async def test_no_submission_is_leased_twice(spools: PostgresSpools) -> None:
    """Two nodes with several claims each at the same time share nothing, and leave nothing."""
    mails = [mail(str(number), client=str(number % 7), priority=number % 3 - 1) for number in range(300)]
    found: Counter[int] = Counter()

    async def work(spool: PostgresSpool) -> None:
        while any(state is State.QUEUED for state in await counts(spool)):
            batch = await take(spool, messages=7)
            if batch is not None:
                found.update(one.key for one in batch.submissions)
                await spool.record(batch, ACCEPTED, [sent(one) for one in batch.submissions])

    async with AsyncExitStack() as stack:
        one, two = await both(spools, stack)
        await asyncio.gather(*[spool.put(mails[start : start + 30]) for spool, start in _spread(one, two)])
        await asyncio.gather(*[work(spool) for spool in (one, two) for _ in range(3)])
        assert await counts(one) == await counts(two) == spools.counted() == {State.SENT: (300, 4500)}
    assert set(found.values()) == {1}
    assert len(found) == 300


def _spread(one: PostgresSpool, two: PostgresSpool) -> list[tuple[PostgresSpool, int]]:
    return [((one, two)[start % 60 == 0], start) for start in range(0, 300, 30)]


@scenario
async def test_a_slow_node_records_nothing_over_the_new_owner(spools: PostgresSpools) -> None:
    """It was stopped longer than its lease: its answer comes too late, whatever the new owner's is."""
    async with AsyncExitStack() as stack:
        one, two = await both(spools, stack)
        await one.put([mail("a")])
        old = await taken(one)
        assert await take(two) is None
        spools.clock.advance(LEASE)
        new = await taken(two)
        await one.record(old, ACCEPTED, [failed(old.submissions[0])])
        assert await one.split(old, RequestResult(), [[old.submissions[0].key]], LEASE) == []
        assert (await two.find("a"))[0].state is State.SENDING
        assert new.submissions[0].maybe_sent
        await two.record(new, ACCEPTED, [sent(new.submissions[0])])
        assert await counts(two) == spools.counted() == {State.SENT: (1, 15)}


@pytest.mark.parametrize("node", ["one", "two"], ids=["its own next claim", "another node's claim"])
@scenario
async def test_a_number_that_is_given_again_is_another_lease(spools: PostgresSpools, node: str) -> None:
    """After a failover to a server that lacks the last moments: its next claim has the number of one that is lost, of the same mail."""
    async with AsyncExitStack() as stack:
        one, two = await both(spools, stack)
        await one.put([mail("a")])
        old = await taken(one)
        forgotten = f"""
            DELETE FROM {spools.schema}.requests; DELETE FROM {spools.schema}.attempts;
            UPDATE {spools.schema}.states SET state = 'queued', request = NULL, attempts = 0;
            DELETE FROM {spools.schema}.depth; INSERT INTO {spools.schema}.depth VALUES (0, '{ACCOUNT}', 'queued', 1, 15);
            ALTER TABLE {spools.schema}.requests ALTER COLUMN key RESTART WITH {old.request_key};
        """
        shared_connection().execute(forgotten.encode())
        new = await taken({"one": one, "two": two}[node])
        assert (new.request_key, new.submissions[0].key) == (old.request_key, old.submissions[0].key)

        await one.record(old, ACCEPTED, [failed(old.submissions[0])])
        await one.record(old, RequestResult(), [])
        assert await one.split(old, RequestResult(), [[old.submissions[0].key]], LEASE) == []
        assert (await two.find("a"))[0].state is State.SENDING
        # Its own request is not ended by the old one either: it runs out like any other.
        assert await two.next_due_at(ACCOUNT) == spools.clock.now() + LEASE

        await one.record(new, ACCEPTED, [sent(new.submissions[0])])
        assert await counts(two) == spools.counted() == {State.SENT: (1, 15)}


@scenario
async def test_a_dead_nodes_leases_run_out(spools: PostgresSpools) -> None:
    """Another node waits for that, and sends its mail: not before, also when that other node starts meanwhile."""
    async with spools.open(node="one") as one:
        await one.put([mail("a")])
        await taken(one)
    async with spools.open(node="two") as two:
        assert await take(two) is None
        assert await two.next_due_at(ACCOUNT) == spools.clock.now() + LEASE
        spools.clock.advance(LEASE)
        assert names(await claim(two)) == ["a"]
    async with spools.open(node="one") as one:
        # What another node has under way is not this one's to end.
        assert await take(one) is None


@scenario
async def test_a_lease_that_may_not_be_ended_yet_is_not_looked_at_all_the_time(spools: PostgresSpools) -> None:
    """Some seconds after a node found the server it may; until then there is nothing to claim."""
    async with spools.open(node="one") as one:
        await one.put([mail("a")])
        await taken(one)
        spools.clock.advance(LEASE)
        async with spools.open(node="two") as two:
            assert await take(two) is None
            due = await two.next_due_at(ACCOUNT)
            assert due == spools.clock.now() + 10 * SECOND
            spools.clock.advance(due - spools.clock.now())
            assert names(await claim(two)) == ["a"]


@scenario
async def test_a_lease_that_somebody_has_locked_is_not_looked_at_all_the_time(spools: PostgresSpools) -> None:
    """As a node that was stopped in the middle of a transaction: others look again in a moment."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        await taken(spool)
        spools.clock.advance(LEASE)
        with shared_connection().transaction():
            shared_connection().execute(f"SELECT 1 FROM {spools.schema}.requests FOR UPDATE".encode())
            assert await take(spool) is None
            assert await spool.next_due_at(ACCOUNT) == spools.clock.now() + LOOK_AGAIN
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_a_node_that_starts_again_ends_its_own_leases(spools: PostgresSpools) -> None:
    """At once: it knows that nobody sends them. Those of other nodes go on."""
    async with spools.open(node="two") as two:
        await two.put([mail("of two")])
        other = await taken(two)
        async with spools.open(node="one") as one:
            await one.put([mail("of one")])
            await taken(one)
        async with spools.open(node="one") as one:
            assert names(await claim(one)) == ["of one"]
        await two.record(other, ACCEPTED, [sent(other.submissions[0])])
        assert (await two.find("of two"))[0].state is State.SENT


@scenario
async def test_mail_that_one_node_takes_wakes_another(spools: PostgresSpools) -> None:
    async with AsyncExitStack() as stack:
        one, two = await both(spools, stack)
        assert await take(two) is None
        waiting = asyncio.create_task(two.wait_for_work(ACCOUNT))
        await one.put([mail("a")])
        async with asyncio.timeout(PATIENCE):
            await waiting
        assert names(await claim(two)) == ["a"]


@scenario
async def test_a_lost_notification_is_made_up_for(spools: PostgresSpools) -> None:
    """Mail that nobody told of, here written by another program, is found by looking every few seconds."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        assert await take(spool) is None
        waiting = asyncio.create_task(spool.wait_for_work(ACCOUNT))
        shared_connection().execute(f"UPDATE {spools.schema}.states SET state = 'queued', request = NULL".encode())
        async with asyncio.timeout(PATIENCE):
            await waiting
        assert names(await claim(spool)) == ["a"]
        await spool.record(batch, ACCEPTED, [failed(batch.submissions[0])])
        assert (await spool.find("a"))[0].state is State.SENDING


@scenario
async def test_an_operators_act_reaches_every_node(spools: PostgresSpools) -> None:
    async with AsyncExitStack() as stack:
        one, two = await both(spools, stack)
        await one.put([mail("a")])
        await spools.queue().act(Act.HOLD, ["a-1"], by="ann")
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(one.changed(), two.changed())
        assert [handled.id for handled in await one.follow()] == ["a-1"]
        assert [handled.id for handled in await two.follow()] == ["a-1"]


@scenario
async def test_limits_count_what_all_nodes_took(spools: PostgresSpools) -> None:
    """A node that starts later knows of it; room that another node made is found."""
    limited = SpoolSettings(max_messages=2)
    async with spools.open(node="one", settings=limited) as one:
        await one.put([mail("a"), mail("b")])
        async with spools.open(node="two", settings=limited) as two:
            with pytest.raises(SpoolFull, match="max_messages"):
                await two.put([mail("c")])
            batch = await taken(one)
            await one.record(batch, ACCEPTED, [sent(claimed) for claimed in batch.submissions])
            async with asyncio.timeout(PATIENCE):
                while True:
                    if await _put(two):
                        break
                    await asyncio.sleep(0.05)
            assert await counts(one) == spools.counted() == {State.SENT: (2, 30), State.QUEUED: (1, 15)}


async def _put(spool: PostgresSpool, name: str = "c") -> bool:
    try:
        await spool.put([mail(name)])
    except SpoolFull:
        return False
    return True


@scenario
async def test_limits_count_what_others_took_of_whom_only_sends(spools: PostgresSpools) -> None:
    """What a node sent of others' mail makes no room for more of its own than there is."""
    limited = SpoolSettings(max_messages=10)
    async with (
        spools.open(node="takes", settings=limited) as takes,
        spools.open(node="sends", settings=limited) as sends,
    ):
        for number in range(3):
            await takes.put([mail(f"{number}-{one}") for one in range(8)])
            batch = await taken(sends)
            await sends.record(batch, ACCEPTED, [sent(claimed) for claimed in batch.submissions])
            await asyncio.sleep(0.3)
        taken_in = 0
        # Between two looks nobody counts for others.
        while taken_in < 100 and await _put(sends, f"own-{taken_in}"):
            taken_in += 1
            await asyncio.sleep(0.2)
        assert taken_in <= 20


@scenario
async def test_two_spools_in_one_database_are_apart(spools: PostgresSpools, tmp_path: Path) -> None:
    other = PostgresSpools(tmp_path / "other")
    async with spools.open() as one, other.open() as two:
        await one.put([mail("a")])
        assert await take(two) is None
        assert await two.find("a") == []
        assert names(await claim(one)) == ["a"]


@scenario
async def test_text_that_a_database_cannot_hold_is_replaced(spools: PostgresSpools) -> None:
    """NUL in a subject, half a character in an answer: the mail is taken and recorded all the same."""
    async with spools.open() as spool:
        await spool.put([replace(mail("a", payload=b"\x00\xff"), subject="a\0b\udc80", client_helo="\0")])
        batch = await taken(spool)
        (claimed,) = batch.submissions
        assert (claimed.payload, claimed.subject) == (b"\x00\xff", "a\ufffdb?")
        await spool.record(batch, ACCEPTED, [replace(failed(claimed), text="no\0")])
        assert (await spool.find("a"))[0].text == "no\ufffd"


@scenario
async def test_text_that_is_too_long_for_an_index_is_cut(spools: PostgresSpools) -> None:
    """An id of pages, of a mail or of an answer: the mail is taken and recorded all the same, and found by what is kept of it."""
    long = "".join(f"{number:x}ü" for number in range(5000))
    async with spools.open() as spool:
        await spool.put([replace(mail("a"), client_key=f"user:{long}", message_id_header=f"<{long}@example.com>")])
        batch = await taken(spool)
        answer = replace(ACCEPTED, request_id=long)
        await spool.record(
            batch,
            answer,
            [replace(failed(batch.submissions[0]), message_id=long, tell=long, notice=NoticeKind.FAILURE)],
        )
        (record,) = await spool.find("a")
        assert record.state is State.FAILED
        assert record.message_id is not None
        assert long.startswith(record.message_id)
        assert len(record.message_id.encode()) >= 998


@scenario
async def test_nodes_prune_at_the_same_time(spools: PostgresSpools) -> None:
    async with AsyncExitStack() as stack:
        one, two = await both(spools, stack)
        await one.put([mail(str(number)) for number in range(500)])
        while batch := await take(one):
            await one.record(batch, ACCEPTED, [sent(claimed) for claimed in batch.submissions])
        spools.clock.advance(timedelta(days=365))

        async def prune(spool: PostgresSpool) -> int:
            went = 0
            while step := await spool.prune():
                went += step
            return went

        await asyncio.gather(prune(one), prune(two))
        # What one of them passed over because the other had it is gone with the other's step.
        assert await prune(one) == 0
        assert await counts(one) == spools.counted() == {}
        left = "SELECT (SELECT count(*) FROM {0}.payloads) + (SELECT count(*) FROM {0}.attempts) + (SELECT count(*) FROM {0}.requests)"
        assert shared_connection().execute(left.format(spools.schema).encode()).fetchone() == (0,)


@scenario
async def test_nobody_is_told_a_password(spools: PostgresSpools) -> None:
    """Whatever the server refuses, and however the URL is wrong."""
    from qboxrelay.spool.port import SpoolError
    from qboxrelay.spool.postgres.database import Database

    host = spools.url.partition("@")[2].partition("/")[0]
    for url in (
        f"postgresql://nobody:s3cr3t@{host}/none",
        "postgresql://x:s3cr3t@[::/y",
        "postgresql://x:s3cr3t@/y?nope=1",
    ):
        with pytest.raises(SpoolError) as caught:
            await Database.open(url, schema=spools.schema, password=None)
        assert "s3cr3t" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
