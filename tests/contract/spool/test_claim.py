"""What a claim takes: within the request's limits, fairly, by priority, with the attempt written."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from qboxrelay.model.submission import State
from tests.contract.spool.harness import (
    ACCEPTED,
    LEASE,
    START,
    Spools,
    claim,
    counts,
    mail,
    names,
    retry,
    scenario,
    sent,
    take,
    taken,
)


@scenario
async def test_a_claim_takes_the_oldest_first(spools: Spools) -> None:
    """One client's mail leaves in order of arrival."""
    async with spools.open() as spool:
        await spool.put([mail(name) for name in "abcde"])
        assert names(await claim(spool, messages=3)) == ["a", "b", "c"]
        assert names(await claim(spool)) == ["d", "e"]
        assert await claim(spool) == []


@scenario
async def test_a_claim_stays_within_the_bytes_of_a_request(spools: Spools) -> None:
    """Payloads and a comma each."""
    async with spools.open() as spool:
        await spool.put([mail(name, payload=b"x" * 9) for name in "abc"])
        assert names(await claim(spool, size=29)) == ["a", "b"]
        assert names(await claim(spool, size=30)) == ["c"]


@scenario
async def test_a_payload_larger_than_the_limit_is_claimed_alone(spools: Spools) -> None:
    """It must not wait for ever; whether it can be sent is not the spool's to say."""
    async with spools.open() as spool:
        await spool.put([mail("large", payload=b"x" * 99), mail("small")])
        assert names(await claim(spool, size=50)) == ["large"]
        assert names(await claim(spool, size=50)) == ["small"]


@scenario
async def test_a_client_whose_mail_does_not_fit_leaves_the_room_to_others(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a", client="1"), mail("large", client="1", payload=b"x" * 90), mail("b", client="2")])
        assert names(await claim(spool, size=100)) == ["a", "b"]


@scenario
async def test_a_flood_does_not_delay_other_clients(spools: Spools) -> None:
    """Round robin: each client's next one in each round."""
    async with spools.open() as spool:
        await spool.put([mail(f"flood{number}", client="1") for number in range(30)])
        await spool.put([mail("reset", client="2"), mail("x", client="3"), mail("y", client="3")])
        assert names(await claim(spool, messages=5)) == ["flood0", "reset", "x", "flood1", "y"]
        assert names(await claim(spool, messages=20)) == [f"flood{number}" for number in range(2, 22)]


@scenario
async def test_the_round_goes_on_with_the_next_claim(spools: Spools) -> None:
    """Small requests are as fair as large ones: nobody is first in every claim."""
    async with spools.open() as spool:
        await spool.put([mail(f"{client}{number}", client=client) for number in range(3) for client in "abcd"])
        claimed = [name for _ in range(4) for name in names(await claim(spool, messages=3))]
        assert sorted(claimed[:4]) == ["a0", "b0", "c0", "d0"]
        assert sorted(claimed[4:8]) == ["a1", "b1", "c1", "d1"]


@scenario
async def test_many_clients_are_all_served(spools: Spools) -> None:
    """More clients than fit a request, one without a name among them."""
    async with spools.open() as spool:
        clients = ["", *(f"c{number:03}" for number in range(40))]
        await spool.put([mail(f"{client}/{number}", client=client) for client in clients for number in range(2)])
        first = [name for _ in range(41) for name in names(await claim(spool, messages=1))]
        assert sorted(first) == sorted(f"{client}/0" for client in clients)


@scenario
async def test_priority_goes_first_within_a_client(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put(
            [mail("bulk", priority=-1), mail("normal"), mail("urgent", priority=5), mail("urgent2", priority=5)]
        )
        assert names(await claim(spool)) == ["urgent", "urgent2", "normal", "bulk"]


@scenario
async def test_no_priority_starves(spools: Spools) -> None:
    """Of ten turns of a client six are for high, three for normal, one for low priority, however few a request holds."""
    async with spools.open() as spool:
        for messages in (1, 3, 7, 500):
            account = f"by {messages}"
            for kind, priority in (("high", 1), ("normal", 0), ("low", -1)):
                await spool.put([mail(f"{messages} {kind} {n}", priority=priority, account=account) for n in range(60)])
            claimed: list[str] = []
            while len(claimed) < 100:
                claimed += names(await claim(spool, messages=messages, account=account))
            for kind, share in (("high", 60), ("normal", 30), ("low", 10)):
                found = [name for name in claimed[:100] if kind in name]
                assert found == [f"{messages} {kind} {n}" for n in range(share)]


@scenario
async def test_one_urgent_mail_at_a_time_starves_nobody(spools: Spools) -> None:
    """A new urgent mail before each claim of one: the others have their turns all the same."""
    async with spools.open() as spool:
        await spool.put([mail("low", priority=-1)])
        claimed = []
        for number in range(10):
            await spool.put([mail(f"urgent{number}", priority=1)])
            claimed += names(await claim(spool, messages=1))
        assert "low" in claimed


@scenario
async def test_an_urgent_mail_passes_a_backlog(spools: Spools) -> None:
    """It leaves with the next request, in front of everything of its client."""
    async with spools.open() as spool:
        await spool.put([mail(f"bulk{number}", priority=-1) for number in range(50)])
        await claim(spool, messages=5)
        await spool.put([mail("reset", priority=1)])
        assert names(await claim(spool, messages=5))[0] == "reset"


@scenario
async def test_a_clients_priority_takes_no_turn_of_others(spools: Spools) -> None:
    """Whoever calls everything urgent is urgent among its own mail only."""
    async with spools.open() as spool:
        await spool.put([mail(f"urgent{number}", client="1", priority=1) for number in range(30)])
        await spool.put([mail(f"other{number}", client="2") for number in range(30)])
        claimed = names(await claim(spool, messages=10))
        assert sum(name.startswith("other") for name in claimed) == 5


@scenario
async def test_accounts_are_apart(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b", account="other")])
        assert names(await claim(spool, account="other")) == ["b"]
        assert await claim(spool, account="third") == []
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_claims_at_the_same_time_share_nothing(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail(str(number)) for number in range(40)])
        batches = await asyncio.gather(*[take(spool, messages=10) for _ in range(5)])
        claimed = [claimed.key for batch in batches if batch for claimed in batch.submissions]
        assert len(claimed) == len(set(claimed)) == 40
        assert len({batch.lease for batch in batches if batch}) == 4


@scenario
async def test_a_claim_writes_the_attempt(spools: Spools) -> None:
    """A crash after the call cannot forget the try: it is in the trail before the batch is handed out."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        await taken(spool)
        (record,) = await spool.find("a")
        assert (record.state, record.attempts) == (State.SENDING, 1)
        assert await counts(spool) == spools.counted() == {State.SENDING: (1, 15)}


@scenario
async def test_a_cancelled_claim_leases_nothing(spools: Spools) -> None:
    """A dispatcher that is stopped while it claims leaves the mail claimable, and never sent."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        claiming = asyncio.create_task(take(spool))
        await asyncio.sleep(0)
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        await asyncio.wait_for(spool.wait_for_work("default"), 10)
        (claimed,) = await claim(spool)
        assert not claimed.maybe_sent
        assert claimed.failures == 0


@scenario
async def test_content_that_is_gone_is_held_and_stops_nobody(spools: Spools) -> None:
    """Damage to one row is one row's damage: visible, kept, and out of the way."""
    async with spools.open() as spool:
        await spool.put([mail("damaged"), mail("whole")])
    spools.drop_content("damaged-1")
    async with spools.open() as spool:
        batch = await taken(spool)
        assert names(batch.submissions) == ["whole"]
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        (record,) = await spool.find("damaged")
        assert (record.state, record.reason) == (State.HELD, "content")
        assert await counts(spool) == spools.counted()
        assert await spool.next_due_at("default") is None


@scenario
async def test_next_due_at_knows_ready_waiting_and_leased(spools: Spools) -> None:
    """A dispatcher that sleeps until then misses nothing."""
    async with spools.open() as spool:
        assert await spool.next_due_at("default") is None
        await spool.put([mail("a")])
        assert await spool.next_due_at("default") == spools.clock.now()
        await taken(spool)
        assert await spool.next_due_at("default") == spools.clock.now() + LEASE
        assert await spool.next_due_at("other") is None


@scenario
async def test_overdue_mail_can_be_taken_whether_due_or_not(spools: Spools) -> None:
    """What was received before a time, oldest first, within the bounds of a request; nothing younger, of others, or under way."""
    async with spools.open() as spool:
        await spool.put([mail(name, client=name) for name in ("old1", "old2", "old3", "old4")])
        await spool.put([mail("elsewhere", account="other")])
        batch = await taken(spool, messages=2)
        await spool.record(batch, ACCEPTED, [retry(batch.submissions[0], START + timedelta(days=1))])
        young = START + timedelta(minutes=1)
        await spool.put([replace(mail("young"), received_at=young)])

        async def overdue(**bounds: int) -> list[str]:
            usual = {"max_messages": 500, "max_bytes": 1_000_000}
            found = await spool.claim_overdue("default", received_before=young, lease=LEASE, **(usual | bounds))
            return names(found.submissions) if found else []

        assert await overdue(max_messages=1) == ["old1"]
        assert await overdue(max_bytes=1) == ["old3"]
        assert await overdue() == ["old4"]
        assert await overdue() == []
        assert await counts(spool) == spools.counted()
        assert names(await claim(spool, account="other")) == ["elsewhere"]
        assert names(await claim(spool)) == ["young"]
