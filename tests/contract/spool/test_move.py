"""Moving mail from one spool to another, of whatever backends: all of it arrives as it was, once, and is gone where it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.model.submission import NoticeKind, State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.move import CutOff, Moved, move
from qboxrelay.spool.parcels import MOVING, PART_MESSAGES, Kept, Parcels, Part
from qboxrelay.spool.port import Result, Spool, SpoolError
from qboxrelay.spool.postgres.database import Database
from qboxrelay.spool.postgres.nodes import PostgresShared
from qboxrelay.spool.postgres.parcels import PostgresParcels
from qboxrelay.spool.postgres.queue import PostgresQueue
from qboxrelay.spool.queue import Act, Queue, Selection, Story
from qboxrelay.spool.sqlite.parcels import SqliteParcels, survey_beside
from tests.contract.spool.harness import (
    ACCEPTED,
    LEASE,
    PostgresSpools,
    Spools,
    SqliteSpools,
    claim,
    counts,
    failed,
    mail,
    names,
    scenario,
    spools_of,
    taken,
)
from tests.contract.spool.test_queue import one_of_each

PAIRS = ["sqlite-postgres", "postgres-sqlite", "sqlite-sqlite", "postgres-postgres"]


@pytest.fixture(params=PAIRS)
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Spools, Spools]:
    """A source and a target."""
    first, _, second = request.param.partition("-")
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
    return spools_of(first, tmp_path / "from"), spools_of(second, tmp_path / "to")


async def parcels_of(spools: Spools) -> Parcels:
    now = spools.clock.now()
    if isinstance(spools, SqliteSpools):
        return await SqliteParcels.open(spools.path, now=now)
    assert isinstance(spools, PostgresSpools)
    database = await Database.open(spools.url, schema=spools.schema, now_ms=spools.lease_time)
    return PostgresParcels(database, now=now)


@asynccontextmanager
async def opened(*spools: Spools) -> AsyncIterator[list[Parcels]]:
    both = [await parcels_of(one) for one in spools]
    try:
        yield both
    finally:
        for one in both:
            await one.close()


async def moved(ends: tuple[Spools, Spools], *, with_trail: bool = False, expired_into: State = State.QUEUED) -> Moved:
    async with opened(*ends) as (source, target):
        return await move(
            source, target, expired_into=expired_into, with_trail=with_trail, progress=lambda _number: None
        )


@asynccontextmanager
async def queue_of(spools: Spools) -> AsyncIterator[Queue]:
    """As a command has it: on a connection of its own."""
    queue = spools.queue()
    if isinstance(spools, PostgresSpools):
        queue = PostgresQueue.beside(
            lambda: Database.open(spools.url, schema=spools.schema, make=False), clock=spools.clock
        )
    try:
        yield queue
    finally:
        await queue.close()


async def ids(queue: Queue) -> list[str]:
    """In order of arrival."""
    found: list[str] = []
    before = None
    while True:
        page = await queue.select(Selection(), before=before, limit=1000)
        found += [record.id for record in page.records]
        before = page.next
        if before is None:
            return found[::-1]


async def stories(spools: Spools) -> dict[str, Story]:
    """By id, in order of arrival, without the numbers of their own spool."""
    async with queue_of(spools) as queue:
        found = [story for one in await ids(queue) if (story := await queue.story(one)) is not None]
    return {one.record.id: replace(one, record=replace(one.record, key=0)) for one in found}


def run_out(spools: Spools) -> None:
    """What a killed relay leased counts no more."""
    spools.clock.advance(LEASE + timedelta(seconds=1))


@scenario
async def test_everything_that_is_not_finished_arrives_as_it_was(ends: tuple[Spools, Spools]) -> None:
    """Attempts, marks, times, acts, content and order; figures are right on both sides; what was under way is unknown."""
    source, target = ends
    async with source.open() as spool:
        await one_of_each(spool)
        await spool.put([replace(mail("odd"), subject="Ö\U0001f600", traceparent="00-1", dsn="{}", priority=-1)])
        await spool.put([mail(f"{number:03}") for number in range(PART_MESSAGES + 10)])
        await source.queue().act(Act.HOLD, ["odd-1"], by="ann")
    before = await stories(source)
    content = await source.queue().content("odd-1")
    run_out(source)

    done = await moved(ends)

    assert (done.mail, done.known, done.trail, done.lost, done.pauses) == (PART_MESSAGES + 16, 0, 0, 1, ())
    after = await stories(target)
    sending = after.pop("sending-1")
    assert (sending.record.state, sending.maybe_sent, sending.record.outcome) == (State.QUEUED, True, "unknown")
    assert list(after.items()) == [item for item in before.items() if item[0] not in {"sent-1", "sending-1"}]
    assert await target.queue().content("odd-1") == content
    assert set(await stories(source)) == {"sent-1"}
    for side in ends:
        async with side.open() as spool:
            assert await counts(spool) == side.counted()
            assert await spool.pauses() == []


@scenario
async def test_what_was_moved_goes_on_like_any_mail(ends: tuple[Spools, Spools]) -> None:
    """It is claimed, recorded, told of; operators' old acts are no news to a relay."""
    source, target = ends
    async with source.open() as spool:
        await spool.put([mail("a"), mail("b")])
        (first, _) = (batch := await taken(spool)).submissions
        lost = replace(failed(first), notice=NoticeKind.FAILURE, tell="robot@example.com")
        again = Result(key=batch.submissions[1].key, state=State.QUEUED, outcome="unknown", reason="timeout")
        await spool.record(batch, ACCEPTED, [lost, again])
        await source.queue().act(Act.HOLD, ["b-1"], by="ann")
        await source.queue().act(Act.RELEASE, ["b-1"], by="ann")
    await moved(ends)
    async with target.open() as spool:
        assert await spool.follow() == []
        assert await spool.addressees() == ["robot@example.com"]
        (untold,) = await spool.untold("robot@example.com", limit=10)
        assert (untold.id, untold.request_id) == ("a-1", "request-1")
        (claimed,) = await claim(spool)
        assert (claimed.id, claimed.attempt, claimed.maybe_sent) == ("b-1", 2, True)
        assert await target.queue().act(Act.RETRY, ["a-1"], by="bob")
        assert [one.by for one in await spool.follow()] == ["bob"]
        assert names(await claim(spool)) == ["a"]
        assert await counts(spool) == target.counted()


@scenario
async def test_back_again_is_as_before(ends: tuple[Spools, Spools]) -> None:
    source, target = ends
    async with source.open() as spool:
        await spool.put([mail(name) for name in "abc"])
        await source.queue().act(Act.HOLD, ["b-1"], by="ann")
    before = await stories(source)
    await moved(ends)
    assert await stories(source) == {}
    await moved((target, source))
    assert list((await stories(source)).items()) == list(before.items())
    assert await stories(target) == {}


@scenario
async def test_the_trail_is_copied_where_asked_for(ends: tuple[Spools, Spools]) -> None:
    """It stays at the source, too, and a second run copies nothing twice."""
    source, target = ends
    async with source.open(settings=SpoolSettings(keep_raw="always")) as spool:
        await spool.put([replace(mail("kept"), raw=b"as received"), mail("plain")])
        batch = await taken(spool)
        results = [Result(key=one.key, state=State.SENT, outcome="accepted") for one in batch.submissions]
        await spool.record(batch, ACCEPTED, results)
    before = await stories(source)
    assert (await moved(ends)).trail == 0
    assert await stories(target) == {}
    assert (await moved(ends, with_trail=True)).trail == 2
    assert (await moved(ends, with_trail=True)).trail == 0
    assert await stories(target) == await stories(source) == before
    assert await target.queue().content("kept-1") == await source.queue().content("kept-1")
    assert [one.id for one in await target.queue().trace("request-1", limit=5)] == ["plain-1", "kept-1"]


@scenario
async def test_pauses_and_facts_go_along(ends: tuple[Spools, Spools]) -> None:
    """What the target knows by itself stays; mail is not there before the pause that keeps it back."""
    source, target = ends
    async with source.open() as spool:
        await spool.put([mail("a")])
        await spool.remember("domains", b"old")
        await spool.remember("other", b"\x00\xff")
        await source.queue().pause("default", by="ann", why="maintenance")
    async with target.open() as spool:
        await spool.remember("domains", b"new")
    assert (await moved(ends)).pauses == ("default",)
    async with target.open() as spool:
        assert [(one.account, one.by, one.why) for one in await spool.pauses()] == [("default", "ann", "maintenance")]
        assert await claim(spool) == []
        domains, other = await spool.recall("domains"), await spool.recall("other")
        assert domains is not None
        assert other is not None
        assert (domains.value, other.value) == (b"new", b"\x00\xff")
    async with source.open() as spool:
        assert await spool.pauses() == []


class CutTarget:
    """Takes so many parts, then fails."""

    def __init__(self, target: Parcels, parts: int) -> None:
        self._target = target
        self._parts = parts

    async def put_kept(self, kept: Kept) -> None:
        await self._target.put_kept(kept)

    async def put(self, part: Part) -> int:
        if not self._parts:
            raise SpoolError("no space")
        self._parts -= 1
        return await self._target.put(part)

    async def close(self) -> None:
        await self._target.close()


@pytest.mark.parametrize("put", [False, True])
@scenario
async def test_a_move_that_was_cut_off_goes_on(ends: tuple[Spools, Spools], *, put: bool) -> None:
    """Meanwhile the source sends nothing; what was in the target already is not there twice, nor does it come back after its deletion."""
    source, target = ends
    async with source.open() as spool:
        await spool.put([mail(f"{number:03}") for number in range(PART_MESSAGES * 2)])
    everything = await ids(source.queue())
    async with opened(*ends) as (giving, taking):
        cut = CutTarget(taking, 1)
        with pytest.raises(CutOff, match="no space"):
            await move(giving, cut, expired_into=State.QUEUED, with_trail=False, progress=lambda _number: None)
        if put:
            # As after a crash between the two commits.
            async with giving.part(0, trail=False) as part:
                assert await taking.put(part) == PART_MESSAGES
    async with source.open() as spool:
        assert [one.by for one in await spool.pauses()] == [MOVING]
        assert await claim(spool) == []
    if put:
        await target.queue().act(Act.DELETE, everything[-1:], by="ann")

    done = await moved(ends)

    assert (done.mail, done.known) == ((0, PART_MESSAGES) if put else (PART_MESSAGES, 0))
    assert await ids(target.queue()) == everything[: -1 if put else None]
    assert await ids(source.queue()) == []
    async with target.open() as spool:
        assert await counts(spool) == target.counted()


@scenario
async def test_a_relay_on_the_source_is_in_the_way(ends: tuple[Spools, Spools]) -> None:
    """Nothing is moved, and it sends on."""
    source, target = ends
    async with source.open() as spool:
        await spool.put([mail("a"), mail("b")])
        assert len(await claim(spool, messages=1)) == 1
        with pytest.raises(SpoolError, match=r"in use by process|may still send"):
            await moved(ends)
        assert len(await claim(spool)) == 1
    async with target.open() as spool:
        assert await spool.latest() == []


@scenario
async def test_a_look_changes_nothing(tmp_path: Path) -> None:
    """Beside a running relay; the figures are those of a move."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await one_of_each(spool)
        survey = await survey_beside(spools.path)
        assert survey.mail == {State.FAILED: 1, State.HELD: 1, State.QUEUED: 2, State.SENDING: 1}
        assert (survey.messages, survey.bytes, survey.trail) == (5, 75, 1)
    async with opened(spools) as (parcels,):
        assert await parcels.survey() == survey


async def _prune(spool: Spool) -> None:
    while await spool.prune():
        pass


@scenario
async def test_a_failure_without_content_is_of_the_trail(ends: tuple[Spools, Spools]) -> None:
    """Nobody could retry it; but where somebody is still to be told of it, it goes."""
    source, _ = ends
    async with source.open(settings=SpoolSettings(keep_failed_payloads=timedelta(hours=1))) as spool:
        await spool.put([mail("quiet"), mail("told")])
        batch = await taken(spool)
        quiet, told = map(failed, batch.submissions)
        await spool.record(batch, ACCEPTED, [quiet, replace(told, notice=NoticeKind.FAILURE, tell="robot@example.com")])
        source.clock.advance(timedelta(hours=2))
        await _prune(spool)
    assert (await moved(ends)).mail == 1
    assert set(await stories(source)) == {"quiet-1"}
    assert set(await stories(ends[1])) == {"told-1"}


@scenario
async def test_a_relay_that_runs_elsewhere_is_in_the_way(tmp_path: Path) -> None:
    """It is named, and goes on sending: nothing is paused. Once it said goodbye, it is not."""
    (tmp_path / "to").mkdir()
    source, target = spools_of("postgres", tmp_path / "from"), SqliteSpools(tmp_path / "to")
    assert isinstance(source, PostgresSpools)
    async with source.open() as spool:
        await spool.put([mail("a")])
        database = await Database.open(source.url, schema=source.schema)
        node = await PostgresShared.enter(database, name="mx2", instance="1", version="1", clock=source.clock)
        with pytest.raises(SpoolError, match="mx2"):
            await moved((source, target))
        assert await spool.pauses() == []
        await node.close()
    assert (await moved((source, target))).mail == 1


@scenario
async def test_a_spool_is_not_moved_to_itself(tmp_path: Path) -> None:
    """Its mail would be found in TO, and dropped from FROM. One server has many names."""
    spools = spools_of("postgres", tmp_path)
    assert isinstance(spools, PostgresSpools)
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b")])
    url = spools.url.replace("127.0.0.1", "localhost")
    other = PostgresParcels(await Database.open(url, schema=spools.schema), now=spools.clock.now())
    async with opened(spools) as (source,):
        with pytest.raises(SpoolError, match="same spool"):
            await move(source, other, expired_into=State.QUEUED, with_trail=False, progress=lambda _number: None)
        await other.close()
    assert spools.counted() == {State.QUEUED: (2, 30)}
    async with spools.open() as spool:
        assert await spool.pauses() == []
