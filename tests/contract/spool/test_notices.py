"""Who is to be told: the marks that recording leaves, and the notices that take them away."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from qboxrelay.model.submission import Claimed, NoticeKind, State, Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import Result, Spool, SpoolFull, Untold
from tests.contract.spool.harness import (
    ACCEPTED,
    START,
    Spools,
    counts,
    failed,
    mail,
    names,
    retry,
    scenario,
    sent,
    take,
    taken,
)

ANN, BEN = "ann@example.com", "ben@example.com"


def notice(name: str, address: str = ANN) -> Submission:
    return replace(mail(name), envelope_sender="", recipients=(address,), is_notice=True)


def of_failure(claimed: Claimed, address: str = ANN) -> Result:
    return replace(failed(claimed), notice=NoticeKind.FAILURE, tell=address)


def of_delay(claimed: Claimed, address: str = ANN) -> Result:
    return replace(retry(claimed, START), notice=NoticeKind.DELAY, tell=address)


async def fail(spool: Spool, *names_: str, address: str = ANN) -> None:
    """Put mails and let them fail, marked."""
    await spool.put([mail(name) for name in names_])
    batch = await taken(spool)
    await spool.record(batch, ACCEPTED, [of_failure(claimed, address) for claimed in batch.submissions])


def told(entries: Sequence[Untold]) -> list[tuple[str, NoticeKind]]:
    return [(entry.transaction_id, entry.notice) for entry in entries]


@scenario
async def test_a_failure_is_marked_by_the_commit_that_records_it(spools: Spools) -> None:
    """After a crash it is still to be told, with everything that a notice says of it."""
    async with spools.open() as spool:
        await spool.put([replace(mail("a"), dsn='{"envid":"e"}'), mail("b")])
        batch = await taken(spool)
        await spool.record(batch, ACCEPTED, [of_failure(batch.submissions[0]), failed(batch.submissions[1])])
    async with spools.open() as spool:
        assert await spool.addressees() == [ANN]
        (entry,) = await spool.untold(ANN, limit=10)
        assert (entry.id, entry.transaction_id, entry.notice) == ("a-1", "a", NoticeKind.FAILURE)
        assert (entry.recipients, entry.dsn) == (("someone@example.net", "ünicode@example.net"), '{"envid":"e"}')
        assert (entry.subject, entry.message_id_header) == ("Häppy", "<1@example.com>")
        assert (entry.received_at, entry.tried_at) == (START, spools.clock.now())
        assert (entry.maybe_sent, entry.reason, entry.text) == (False, "validation_error", "no such field")
        assert entry.request_id == "request-1"


@scenario
async def test_a_notice_is_stored_once(spools: Spools) -> None:
    """Storing it and taking the mark away are one commit; whoever tries again finds it done."""
    async with spools.open() as spool:
        await fail(spool, "a", "b")
        entries = await spool.untold(ANN, limit=10)
        assert await spool.tell(ANN, entries[:1], notice("n1"))
        assert not await spool.tell(ANN, entries, notice("n2"))
        assert not await spool.tell(BEN, entries[1:], notice("n3", BEN))
    async with spools.open() as spool:
        assert told(await spool.untold(ANN, limit=10)) == [("b", NoticeKind.FAILURE)]
        batch = await taken(spool)
        assert names(batch.submissions) == ["n1"]
        assert batch.submissions[0].is_notice
        assert spools.counted() == await counts(spool)


@scenario
async def test_nothing_needs_to_be_said(spools: Spools) -> None:
    """A mark can go without a notice."""
    async with spools.open() as spool:
        await fail(spool, "a")
        assert await spool.tell(ANN, await spool.untold(ANN, limit=10), None)
        assert await spool.addressees() == []
        assert await take(spool) is None


@scenario
async def test_a_delay_is_told_once(spools: Spools) -> None:
    """Each later try that fails changes nothing; the failure in the end is told, too."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        for _ in range(2):
            (claimed,) = (batch := await taken(spool)).submissions
            await spool.record(batch, ACCEPTED, [of_delay(claimed)])
            assert told(await spool.untold(ANN, limit=10)) == [("a", NoticeKind.DELAY)]
        assert await spool.tell(ANN, await spool.untold(ANN, limit=10), None)
        (claimed,) = (batch := await taken(spool)).submissions
        await spool.record(batch, ACCEPTED, [of_delay(claimed)])
        assert await spool.addressees() == []
        (claimed,) = (batch := await taken(spool)).submissions
        await spool.record(batch, ACCEPTED, [of_failure(claimed, BEN)])
        assert told(await spool.untold(BEN, limit=10)) == [("a", NoticeKind.FAILURE)]


@scenario
async def test_what_has_left_is_not_late(spools: Spools) -> None:
    """A delay that nobody was told of yet is forgotten when the mail is sent; who looked before can store nothing."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        (claimed,) = (batch := await taken(spool)).submissions
        await spool.record(batch, ACCEPTED, [of_delay(claimed)])
        seen = await spool.untold(ANN, limit=10)
        (claimed,) = (batch := await taken(spool)).submissions
        await spool.record(batch, ACCEPTED, [sent(claimed)])
        assert await spool.addressees() == []
        assert not await spool.tell(ANN, seen, notice("n"))


@scenario
async def test_a_delay_that_became_a_failure_is_told_as_what_it_is(spools: Spools) -> None:
    """A notice of the delay is not stored over the failure."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        (claimed,) = (batch := await taken(spool)).submissions
        await spool.record(batch, ACCEPTED, [of_delay(claimed)])
        seen = await spool.untold(ANN, limit=10)
        (claimed,) = (batch := await taken(spool)).submissions
        await spool.record(batch, ACCEPTED, [of_failure(claimed)])
        assert not await spool.tell(ANN, seen, notice("n"))
        assert told(await spool.untold(ANN, limit=10)) == [("a", NoticeKind.FAILURE)]


@scenario
async def test_addressees_are_apart(spools: Spools) -> None:
    """Each by itself, in order of arrival, as many as asked for."""
    async with spools.open() as spool:
        await fail(spool, "a", "b", "c")
        await fail(spool, "d", address=BEN)
        assert await spool.addressees() == [ANN, BEN]
        assert [name for name, _ in told(await spool.untold(ANN, limit=2))] == ["a", "b"]
        assert [name for name, _ in told(await spool.untold(BEN, limit=2))] == ["d"]
        assert await spool.untold("nobody@example.com", limit=2) == []


@scenario
async def test_notices_are_counted_by_the_spool(spools: Spools) -> None:
    """However often the relay starts; what a wrong clock stored for the future does not count."""
    async with spools.open() as spool:
        await spool.put([notice("n1"), notice("n2", BEN), replace(mail("m"), recipients=(ANN,), is_notice=False)])
        await spool.put([replace(notice("late"), received_at=START + timedelta(days=1))])
    async with spools.open() as spool:
        spools.clock.advance(timedelta(minutes=59))
        hour = timedelta(hours=1)
        assert await spool.notices_since(ANN, spools.clock.now() - hour, limit=10) == [START]
        spools.clock.advance(timedelta(minutes=2))
        assert await spool.notices_since(ANN, spools.clock.now() - hour, limit=10) == []


@scenario
async def test_a_full_spool_keeps_what_is_to_be_told(spools: Spools) -> None:
    """The notice waits like any mail would; its mark stays."""
    async with spools.open(settings=SpoolSettings(max_messages=1)) as spool:
        await fail(spool, "a")
        await spool.put([mail("fills")])
        entries = await spool.untold(ANN, limit=10)
        with pytest.raises(SpoolFull):
            await spool.tell(ANN, entries, notice("n"))
        assert await spool.untold(ANN, limit=10) == entries
        (claimed,) = (batch := await taken(spool)).submissions
        await spool.record(batch, ACCEPTED, [sent(claimed)])
        assert await spool.tell(ANN, entries, notice("n"))
        assert (await counts(spool))[State.QUEUED][0] == 1
