"""Taking mail in: all or none, safe when it returns, refused when full."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.model.submission import State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.settings.typed import ByteSize
from qboxrelay.spool.port import SpoolError, SpoolFull
from tests.contract.spool.harness import (
    ACCEPTED,
    START,
    Spools,
    SqliteSpools,
    claim,
    counts,
    mail,
    names,
    scenario,
    sent,
    take,
    taken,
)


@scenario
async def test_what_was_put_is_claimed_as_it_was(spools: Spools) -> None:
    """The content and every fact a notice needs come back unchanged."""
    original = mail("a", payload=b'{"text_body":"\xc3\xa9"}')
    async with spools.open() as spool:
        await spool.put([original])
        (claimed,) = await claim(spool)
    for field in ("id", "transaction_id", "payload", "received_at", "envelope_sender", "recipients", "notify_never"):
        assert getattr(claimed, field) == getattr(original, field)
    for field in ("is_notice", "subject", "message_id_header"):
        assert getattr(claimed, field) == getattr(original, field)
    assert (claimed.attempt, claimed.failures, claimed.maybe_sent) == (1, 0, False)


@scenario
async def test_a_transaction_is_stored_whole_or_not_at_all(spools: Spools) -> None:
    """One submission that cannot be stored takes its whole transaction with it."""
    async with spools.open() as spool:
        await spool.put([mail("taken")])
        with pytest.raises(SpoolError):
            await spool.put([mail("new"), mail("taken")])
        assert await spool.find("new") == []
        assert await counts(spool) == spools.counted() == {State.QUEUED: (1, 15)}


@scenario
async def test_one_failing_call_does_not_fail_its_neighbours(spools: Spools) -> None:
    """Calls share commits, but not their faults."""
    async with spools.open() as spool:
        await spool.put([mail("taken")])
        mails = [[mail(f"m{number}")] for number in range(20)]
        mails[7] = [mail("taken")]
        results = await asyncio.gather(*[spool.put(one) for one in mails], return_exceptions=True)
        assert [number for number, result in enumerate(results) if result is not None] == [7]
        assert isinstance(results[7], SpoolError)
        assert await counts(spool) == spools.counted() == {State.QUEUED: (20, 300)}


@scenario
async def test_a_cancelled_put_is_not_undone(spools: Spools) -> None:
    """A client that hangs up while its commit runs does not tear the commit."""
    async with spools.open() as spool:
        putting = asyncio.create_task(spool.put([mail("a")]))
        await asyncio.sleep(0)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
    # To close waits for what is under way; nothing else that the port promises does.
    async with spools.open() as spool:
        assert names(await claim(spool)) == ["a"]


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"max_messages": 3}, "max_messages"),
        ({"max_bytes": 50}, "max_bytes"),
    ],
)
@scenario
async def test_a_full_spool_refuses_and_names_the_limit(spools: Spools, limits: dict[str, int], word: str) -> None:
    """Each limit is found before the mail is stored, also by mails of one commit."""
    async with spools.open(settings=SpoolSettings.model_validate(limits)) as spool:
        results = await asyncio.gather(*[spool.put([mail(str(n))]) for n in range(9)], return_exceptions=True)
        refused = [result for result in results if isinstance(result, SpoolFull)]
        assert len(refused) == 9 - 3
        assert all(word in full.limit for full in refused)
        assert sum(messages for messages, _ in spools.counted().values()) == 3
        with pytest.raises(SpoolFull):
            await spool.check_writable() if word != "max_bytes" else await spool.put([mail("more")])


@scenario
async def test_a_disk_that_is_full_refuses(tmp_path: Path) -> None:
    """In a file of this machine; what room a server has, it alone knows."""
    spools = SqliteSpools(tmp_path)
    async with spools.open(settings=SpoolSettings(min_free_bytes=ByteSize(10**18))) as spool:
        results = await asyncio.gather(*[spool.put([mail(str(n))]) for n in range(9)], return_exceptions=True)
        assert all(isinstance(result, SpoolFull) and "min_free_bytes" in result.limit for result in results)
        assert spools.counted() == {}
        with pytest.raises(SpoolFull):
            await spool.check_writable()


@scenario
async def test_room_comes_back_when_mail_is_sent(spools: Spools) -> None:
    """Only what waits counts against the limits."""
    async with spools.open(settings=SpoolSettings(max_messages=1)) as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        with pytest.raises(SpoolFull):
            await spool.put([mail("b")])
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        await spool.put([mail("b")])


@scenario
async def test_put_wakes_who_waits_for_work(spools: Spools) -> None:
    """No polling: an idle dispatcher hears of mail at once, and only of its account's."""
    async with spools.open() as spool:
        assert await take(spool) is None
        waiting = asyncio.create_task(spool.wait_for_work("default"))
        other = asyncio.create_task(spool.wait_for_work("other"))
        await asyncio.sleep(0)
        await spool.put([mail("a")])
        await waiting
        assert not other.done()
        await spool.put([mail("b", account="other")])
        await other


@scenario
async def test_check_writable_commits_without_mail(spools: Spools) -> None:
    """A health probe leaves no trace among the submissions."""
    async with spools.open() as spool:
        await spool.check_writable()
        await spool.check_writable()
        assert spools.counted() == {}


@scenario
async def test_a_claim_says_when_the_mail_was_stored_and_how_it_is_traced(spools: Spools) -> None:
    """The delay before the spool and the one in it can be told apart, and a trace goes on behind it, also after a restart."""
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with spools.open() as spool:
        spools.clock.advance(timedelta(seconds=3))
        await spool.put([replace(mail("traced"), traceparent=traceparent), mail("plain")])
        spools.clock.advance(timedelta(seconds=5))
    async with spools.open() as spool:
        traced, plain = (await taken(spool)).submissions
        assert (traced.traceparent, plain.traceparent) == (traceparent, "")
        assert traced.stored_at == START + timedelta(seconds=3)
        assert traced.received_at == START
