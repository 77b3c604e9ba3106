"""What lies where in a PostgreSQL spool as its history grows: finished mail out of the way of claims, and found again by parts."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qboxrelay.model.submission import NoticeKind, State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.queue import Act
from tests.contract.spool.harness import (
    ACCEPTED,
    START,
    PostgresSpools,
    failed,
    held,
    mail,
    retry,
    scenario,
    sent,
    taken,
)
from tests.contract.spool.way import until
from tests.support.postgres import require_postgres, shared_cluster, shared_connection

ANN = "ann@example.com"


@pytest.fixture
def spools(tmp_path: Path) -> PostgresSpools:
    require_postgres()
    return PostgresSpools(tmp_path)


def asked(spools: PostgresSpools, query: str) -> list[tuple[Any, ...]]:
    return shared_connection().execute(query.format(schema=spools.schema).encode()).fetchall()


def tables(spools: PostgresSpools) -> dict[str, int]:
    """Submissions by the table that holds what changes of them."""
    found = asked(spools, "SELECT tableoid::regclass::text, count(*) FROM {schema}.states GROUP BY 1")
    return {name.rpartition(".")[2]: count for name, count in found}


@scenario
async def test_finished_mail_leaves_the_table_of_claims(spools: PostgresSpools) -> None:
    """What claims look at is as large as what waits. A failure that is retried comes back."""
    async with spools.open() as spool:
        await spool.put([mail(name) for name in "abcd"])
        a, b, c, d = (batch := await taken(spool)).submissions
        assert tables(spools) == {"unfinished": 4}
        await spool.record(batch, ACCEPTED, [sent(a), failed(b), held(c), retry(d, START)])
        assert tables(spools) == {"unfinished": 2, "sent": 1, "failed": 1}
        await spools.queue().act(Act.RETRY, ["b-1"], by="somebody")
        assert tables(spools) == {"unfinished": 3, "sent": 1}


@scenario
async def test_a_record_is_one_write_of_the_history(spools: PostgresSpools) -> None:
    """Neither the mail nor its attempt is written and then changed: there is nothing dead that a vacuum of the whole history would have to find."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        for _ in range(2):
            batch = await taken(spool)
            await spool.record(batch, ACCEPTED, [retry(batch.submissions[0], START)])
        batch = await taken(spool)
        assert asked(spools, "SELECT count(*) FROM {schema}.attempts") == [(2,)]
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
    # Where each row lies: the first of its table, and behind it in the order of writing.
    assert asked(spools, "SELECT ctid::text FROM {schema}.sent") == [("(0,1)",)]
    assert asked(spools, "SELECT number, ctid::text FROM {schema}.attempts ORDER BY number") == [
        (1, "(0,1)"),
        (2, "(0,2)"),
        (3, "(0,3)"),
    ]


@scenario
async def test_mail_of_every_part_of_a_long_history_is_found(spools: PostgresSpools) -> None:
    """By its ids and its recipients, alone or among others, the newest first; ids of different parts do not hide each other."""
    names = ["a", "b", "c", "d"]
    people = [
        ["ann@example.net"],
        ["BEN@example.net", "Ann@Example.net"],
        ["ben@example.net"],
        ["ann@example.net", "cid@example.net"],
    ]
    async with spools.open() as spool:
        for part, (name, recipients) in enumerate(zip(names, people, strict=True)):
            for sequence in ("submissions_key_seq", "requests_key_seq"):
                asked(spools, f"SELECT setval('{{schema}}.{sequence}', {1 + part * 100_000})")
            await spool.put(
                [replace(mail(name), recipients=tuple(recipients), message_id_header=f"<{name}@example.com>")]
            )
            batch = await taken(spool)
            answer = replace(ACCEPTED, request_id=f"request-{name}")
            await spool.record(batch, answer, [sent(batch.submissions[0])])
        queue = spools.queue()

        async def traced(text: str, limit: int = 5) -> list[str]:
            return [record.id.removesuffix("-1") for record in await queue.trace(text, limit=limit)]

        assert await traced("ann@example.net") == ["d", "b", "a"]
        assert await traced("ANN@example.net", limit=2) == ["d", "b"]
        assert await traced("ben@example.net") == ["c", "b"]
        assert await traced("cid@example.net") == ["d"]
        assert await traced("nn@example.net") == []
        for name in names:
            for text in (f"request-{name}", f"<{name}@example.com>", f"{name}@example.com", f"{name}-1@api"):
                assert await traced(text) == [name]


@scenario
async def test_nothing_is_found_in_a_spool_without_mail(spools: PostgresSpools) -> None:
    async with spools.open():
        assert await spools.queue().trace("ann@example.net", limit=5) == []


@scenario
async def test_odd_recipients_are_stored_and_found(spools: PostgresSpools) -> None:
    """None at all, more than an index could hold as text, quotes."""
    long = f"{'x' * 5000}@example.net"
    quoted = '"a","b"@example.net'
    async with spools.open() as spool:
        await spool.put([replace(mail("none"), recipients=()), replace(mail("odd"), recipients=(long, quoted))])
        assert [record.id for record in await spools.queue().trace(long, limit=5)] == ["odd-1"]
        assert (await spool.find("none"))[0].recipients == ()


@scenario
async def test_a_failure_without_content_is_pruned_of_it_once(spools: PostgresSpools) -> None:
    """However many failures stay in the trail, pruning looks only at those whose content it has not seen to."""
    settings = SpoolSettings(keep_failed_payloads=timedelta(days=1), keep_trail=timedelta(days=30))
    async with spools.open(settings=settings) as spool:
        await spool.put([mail("a"), mail("b")])
        batch = await taken(spool)
        await spool.record(batch, ACCEPTED, [failed(claimed) for claimed in batch.submissions])
        spools.drop_content("a-1")
        spools.clock.advance(timedelta(days=2))
        assert await spool.prune() == 2
        assert asked(spools, "SELECT count(*) FROM {schema}.payloads") == [(0,)]
        assert asked(spools, "SELECT count(*) FROM {schema}.failed WHERE NOT emptied") == [(0,)]
        assert await spool.prune() == 0


@scenario
async def test_who_waits_for_a_row_that_moves_tries_again(spools: PostgresSpools) -> None:
    """A notice is about to tell of a failure that an operator's transaction puts back at that moment: the server undoes the one that waited, and
    it is done again.
    """
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        marked = replace(failed(batch.submissions[0]), notice=NoticeKind.FAILURE, tell=ANN)
        await spool.record(batch, ACCEPTED, [marked])
        untold = await spool.untold(ANN, limit=5)
        with psycopg.connect(shared_cluster().url()) as connection:
            connection.execute(f"UPDATE {spools.schema}.states SET state = 'queued', finished_at = NULL".encode())
            telling = asyncio.create_task(spool.tell(ANN, untold, None))
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tell = %FOR UPDATE%' AND {pid} = ANY(pg_blocking_pids(pid))"
            await until(lambda: asked(spools, waits.replace("{pid}", str(connection.info.backend_pid))))
            connection.commit()
        assert await telling
        assert await spool.untold(ANN, limit=5) == []
        assert (await spool.find("a"))[0].state is State.QUEUED
