"""What came in just now is claimed, found and kept like everything else, and soon takes its place in every order."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.model.submission import Submission
from tests.contract.spool.harness import ACCEPTED, LEASE, SqliteSpools, claim, mail, names, retry, scenario
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
        return int(connection.execute("SELECT count(*) FROM submissions WHERE fresh = 1").fetchone()[0])


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
        assert fresh(spools.path) == 1
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
