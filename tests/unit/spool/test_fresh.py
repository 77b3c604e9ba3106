"""What came in just now is claimed, found and kept like everything else, and soon takes its place in every order."""

import asyncio
import gc
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.submission import State, Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolDamaged
from qboxrelay.spool.queue import Act, Selection
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.spool.sqlite.damage import mark
from qboxrelay.spool.sqlite.database import open_writer
from qboxrelay.spool.sqlite.fresh import Arrived, Fresh
from qboxrelay.spool.sqlite.parcels import survey_beside
from qboxrelay.spool.sqlite.put import Arrivals
from qboxrelay.spool.sqlite.transaction import Transaction
from qboxrelay.spool.sqlite.usage import Usage
from qboxrelay.spool.statements import load_statements
from tests.contract.spool.harness import (
    ACCEPTED,
    LEASE,
    START,
    SqliteSpools,
    claim,
    mail,
    names,
    retry,
    scenario,
    sent,
    taken,
)
from tests.support.schemas import NEWEST, back_to_schema

PER_CALL = 100


def numbered(number: int) -> Submission:
    name = f"mail{number:05}"
    return replace(
        mail(name, client=f"client {number % 7}"),
        message_id_header=f"<{name}@example.com>",
        recipients=(f"{name}@to.example",),
    )


def fresh(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return len(connection.execute(load_statements("sqlite")["fresh"], {"text": ""}).fetchall())


@scenario
async def test_nobody_claims(tmp_path: Path) -> None:
    """However much comes in, what has no place yet stays little; by its ids and recipients each mail is found, with a place or without."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        for start in range(0, 2500, PER_CALL):
            await spool.put([numbered(number) for number in range(start, start + PER_CALL)])
            assert fresh(spools.path) <= 1024 + PER_CALL
        assert fresh(spools.path) > 0
        queue = spools.queue()
        for number in (0, 1023, 2499):
            name = numbered(number).transaction_id
            for text in (f"<{name}@example.com>", f"{name}@example.com", f"{name}@TO.example"):
                assert [record.id for record in await queue.trace(text, limit=10)] == [numbered(number).id], text
        assert await queue.trace("mail", limit=10) == []


@scenario
async def test_what_it_is_worth_before_it_has_its_place(tmp_path: Path) -> None:
    """Every look at the spool has it: figures, lists, a story, content; and so after a stop that came first."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([numbered(1), numbered(2)])
    for _ in range(2):
        async with spools.open() as spool:
            assert fresh(spools.path) == 2
            queue = spools.queue()
            depth = await spool.depth()
            assert (depth.messages[State.QUEUED], depth.oldest_queued_at) == (2, numbered(1).received_at)
            assert [record.id for record in await spool.latest()] == [numbered(2).id, numbered(1).id]
            assert [record.id for record in await spool.latest(state=State.QUEUED, limit=1)] == [numbered(2).id]
            assert await spool.latest(state=State.SENT) == []
            assert [record.id for record in await spool.find(numbered(1).transaction_id)] == [numbered(1).id]
            page = await queue.select(Selection(), limit=1)
            assert [record.id for record in page.records] == [numbered(2).id]
            page = await queue.select(Selection(), before=page.next, limit=5)
            assert ([record.id for record in page.records], page.next) == ([numbered(1).id], None)
            story = await queue.story(numbered(2).id)
            assert story is not None
            assert (story.record.state, story.subject, story.has_content, story.attempts) == (
                State.QUEUED, numbered(2).subject, True, (),
            )  # fmt: skip
            content = await queue.content(numbered(2).id)
            assert content is not None
            assert content.payload == numbered(2).payload
            overview = await queue.overview()
            assert [(one.state, one.messages) for one in overview.totals] == [(State.QUEUED, 2)]
            assert overview.oldest == {State.QUEUED: numbered(1).received_at}
            assert (await survey_beside(spools.path)).mail == {State.QUEUED: 2}
            assert await spool.next_due_at("default") == spools.clock.now()
            assert fresh(spools.path) == 2
    async with spools.open() as spool:
        batch = await taken(spool)
        assert [(one.id, one.payload, one.stored_at) for one in batch.submissions] == [
            (numbered(number).id, numbered(number).payload, START) for number in (1, 2)
        ]


@pytest.mark.parametrize("act", [Act.HOLD, Act.DELETE])
@scenario
async def test_an_operator_takes_it_first(act: Act, tmp_path: Path) -> None:
    """What is held or deleted is not sent by the relay that has it in memory; what came with it is, and what comes later."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b")])
        (done,) = await spools.queue().act(act, [mail("a").id], by="somebody")
        assert not done.refused
        assert fresh(spools.path) == 0
        await spool.put([mail("c")])
        await spool.follow()
        depth = (await spool.depth()).messages
        assert (depth[State.QUEUED], depth[State.HELD]) == (2, 1 if act is Act.HOLD else 0)
        assert names(await claim(spool)) == ["b", "c"]
    assert {state: messages for state, (messages, _) in spools.counted().items()} == {
        State.SENDING: 2, **({State.HELD: 1} if act is Act.HOLD else {}),
    }  # fmt: skip


def spoil(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payloads SET arrival = '[1]' WHERE key = 1",
        "UPDATE payloads SET arrival = 'x' WHERE key = 1",
        "UPDATE payloads SET arrival = json_set(arrival, '$[0]', 7) WHERE key = 1",
        "UPDATE payloads SET arrival = json_set(arrival, '$[7]', 'x') WHERE key = 1",
        "UPDATE payloads SET arrival = json_set(arrival, '$[20]', 1000000000000000000) WHERE key = 1",
        "UPDATE payloads SET arrival = json_set(arrival, '$[5]', -100000000000000) WHERE key = 1",
        "UPDATE payloads SET payload = x'' WHERE key = 1",
    ],
)
@scenario
async def test_an_arrival_that_makes_no_sense(statement: str, tmp_path: Path) -> None:
    """The file is damaged then: the next start but one holds the mail, and has lost nothing else."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b")])
    spoil(spools.path, statement)
    with pytest.raises(SpoolDamaged):
        async with spools.open():
            raise AssertionError("unreachable")
    async with spools.open() as spool:
        assert [(record.state, record.reason) for record in await spool.latest()] == [
            (State.QUEUED, None), (State.HELD, "rescued"),
        ]  # fmt: skip
        assert names(await claim(spool)) == ["b"]


@scenario
async def test_an_attempt_of_a_number_that_nobody_gave(tmp_path: Path) -> None:
    """It does not make what came in last look as if it had been sent."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a")])
        assert names(await claim(spool)) == ["a"]
        await spool.put([mail("b")])
    spoil(spools.path, f"UPDATE attempts SET submission = {2**60}")
    mark(spools.path, "met damage")
    async with spools.open() as spool:
        assert names(await claim(spool)) == ["a", "b"]


@scenario
async def test_a_transaction_that_was_left_open(tmp_path: Path) -> None:
    """As when memory was too short to undo it: what comes behind is no part of it."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a")])
        connection = cast("Any", spool)._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM payloads")
        await spool.put([mail("b")])
        assert fresh(spools.path) == 2
    async with spools.open() as spool:
        assert names(await claim(spool)) == ["a", "b"]


class _NoMemory(list[Any]):
    """What cannot be gone over."""

    def __iter__(self) -> Iterator[Any]:
        raise MemoryError

    def __len__(self) -> int:
        return 1


def test_memory_too_short_to_follow_a_commit(tmp_path: Path) -> None:
    """The file knows, and is asked."""
    sql = load_statements("sqlite")
    with closing(open_writer(tmp_path / "spool.db")) as connection:
        remembered = Fresh(sql)
        assert remembered.standing(Transaction(connection)) == []
        stored = Transaction(connection)
        arrivals = Arrivals(sql, remembered, keep_raw=False)
        arrivals.add(stored, [numbered(1)])
        arrivals.store(stored, START)
        stored.arrived = _NoMemory()
        with pytest.raises(MemoryError):
            remembered.applied(stored)
        assert [one.submission.id for one in remembered.standing(Transaction(connection))] == [numbered(1).id]


class _ShortOfMemory(SqliteSpool):
    """Does not get to follow its commits."""

    def applied(self, transaction: Transaction) -> None:
        if transaction.arrivals:
            raise MemoryError
        super().applied(transaction)


@scenario
async def test_what_is_committed_is_not_stored_again(tmp_path: Path) -> None:
    """Whatever goes wrong behind the commit: its callers hear that it is, and nothing is there twice."""
    spool: SqliteSpool = await _ShortOfMemory.open(tmp_path / "spool.db", settings=SpoolSettings(), clock=SystemClock())
    await asyncio.gather(*[spool.put([numbered(number)]) for number in range(3)])
    await spool.close()
    spool = await SqliteSpool.open(tmp_path / "spool.db", settings=SpoolSettings(), clock=SystemClock())
    assert (await spool.depth()).messages[State.QUEUED] == 3
    assert len(names(await claim(spool))) == 3
    await spool.close()


@scenario
async def test_what_is_sent_leaves_the_memory(tmp_path: Path) -> None:
    """Also what stood there when the relay started."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a")])
    async with spools.open() as spool:
        batch = await taken(spool)
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        del batch
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, Arrived)]


def test_figures_are_read_while_they_begin_anew(tmp_path: Path) -> None:
    """By another thread: all of them, the old ones or the new."""
    settings = SpoolSettings()
    usage = Usage(settings=settings, directory=tmp_path, reusable_bytes=lambda: 0, monotonic=lambda: 0.0)
    usage.reload([("default", "queued", 1, 10)])
    seen = []

    class Rows(list[tuple[str, str, int, int]]):
        def __iter__(self) -> Iterator[tuple[str, str, int, int]]:
            for row in super().__iter__():
                seen.append(usage.by_state()[0][State.QUEUED])
                yield row

    usage.reload(Rows([("default", "queued", 1, 10), ("other", "queued", 2, 20), ("default", "queued", 3, 30)]))
    assert seen == [1, 1, 1]
    assert usage.by_account() == {("default", "queued"): (4, 40), ("other", "queued"): (2, 20)}


@scenario
async def test_a_rescue_of_what_came_in_last(tmp_path: Path) -> None:
    """It waits as before. Where it cannot be known whether it was sent it is held, with all that is known of it."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a")])
        assert names(await claim(spool)) == ["a"]
        await spool.put([numbered(1)])
    mark(spools.path, "met damage")
    async with spools.open() as spool:
        assert [record.state for record in await spool.latest()] == [State.QUEUED] * 2
    with closing(sqlite3.connect(spools.path)) as connection:
        connection.execute("DELETE FROM lined_up")
        connection.commit()
    mark(spools.path, "met damage again")
    async with spools.open() as spool:
        record = (await spool.latest())[0]
        assert (record.id, record.state, record.reason) == (numbered(1).id, State.HELD, "rescued")
        assert record.recipients == numbered(1).recipients
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_a_claim_goes_round_all_clients(tmp_path: Path) -> None:
    """A client that comes behind another's flood is served with the next claim, whatever has its place already."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        for start in range(0, 1100, PER_CALL):
            await spool.put([mail(f"flood{number}", client="flood") for number in range(start, start + PER_CALL)])
        await spool.put([mail("other", client="other")])
        assert sorted(names(await claim(spool, messages=2))) == ["flood0", "other"]
        assert fresh(spools.path) == 0


@scenario
async def test_taken_before_it_had_its_place(tmp_path: Path) -> None:
    """What was taken as overdue, without a look at whose turn it is, waits for its next try and is claimed then."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a")])
        later = spools.clock.now() + timedelta(minutes=1)
        batch = await spool.claim_overdue(
            "default", received_before=later, max_messages=500, max_bytes=1_000_000, lease=LEASE
        )
        assert batch is not None
        await spool.record(batch, ACCEPTED, [retry(batch.submissions[0], later)])
        assert await claim(spool) == []
        assert await spool.next_due_at("default") == later
        spools.clock.advance(timedelta(minutes=1))
        assert names(await claim(spool)) == ["a"]


@pytest.mark.parametrize("schema", range(1, NEWEST))
@scenario
async def test_what_waited_in_an_older_file(schema: int, tmp_path: Path) -> None:
    """It is claimed in its order, before what comes in later, and found."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail(name) for name in ("a", "b")])
    back_to_schema(spools.path, schema)
    async with spools.open() as spool:
        await spool.put([mail("c")])
        queue = spools.queue()
        assert len(await queue.trace(mail("a").recipients[0], limit=10)) == 3
        assert names(await claim(spool)) == ["a", "b", "c"]
