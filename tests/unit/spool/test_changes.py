"""Whoever writes to the spool's file is noticed, without a look every second."""

import asyncio
from datetime import timedelta
from pathlib import Path

from qboxrelay.model.clock import SystemClock
from qboxrelay.spool.sqlite.changes import Changes
from tests.contract.spool.harness import scenario
from tests.unit.spool.processes import running_child

SOON, LATE, NEVER = timedelta(milliseconds=1), timedelta(seconds=60), timedelta(days=1)


@scenario
async def test_what_another_process_commits_ends_the_wait(tmp_path: Path) -> None:
    changes = Changes(tmp_path, SystemClock(), settle=SOON, soon=NEVER, at_most=NEVER)
    waiting = asyncio.create_task(changes.wait())
    await asyncio.sleep(0)
    with running_child(tmp_path, "put:a"):
        await asyncio.wait_for(waiting, LATE.total_seconds())
    changes.close()


@scenario
async def test_what_came_between_two_waits_ends_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "spool.db-wal"
    file.write_bytes(b"1")
    changes = Changes(tmp_path, SystemClock(), settle=SOON, soon=NEVER, at_most=NEVER)
    first = asyncio.create_task(changes.wait())
    await asyncio.sleep(0)
    file.write_bytes(b"2")
    await asyncio.wait_for(first, LATE.total_seconds())
    file.write_bytes(b"3")
    await asyncio.wait_for(changes.wait(), LATE.total_seconds())
    changes.close()


@scenario
async def test_sign_that_came_too_early_is_followed_by_another_look(tmp_path: Path) -> None:
    """The log is written, then flushed, then the commit can be seen: a slow disk may need longer than the wait goes on."""
    file = tmp_path / "spool.db-wal"
    changes = Changes(tmp_path, SystemClock(), settle=SOON, soon=SOON, at_most=NEVER)
    await asyncio.wait_for(changes.wait(), LATE.total_seconds())
    waiting = asyncio.create_task(changes.wait())
    await asyncio.sleep(0)
    file.write_bytes(b"1")
    await asyncio.wait_for(waiting, LATE.total_seconds())
    await asyncio.wait_for(changes.wait(), LATE.total_seconds())
    idle = asyncio.create_task(changes.wait())
    done, _ = await asyncio.wait({idle}, timeout=SOON.total_seconds() * 20)
    assert not done
    idle.cancel()
    changes.close()


@scenario
async def test_without_a_sign_the_wait_ends_all_the_same(tmp_path: Path) -> None:
    """Some file systems say nothing of what other machines write."""
    changes = Changes(tmp_path, SystemClock(), settle=SOON, soon=SOON, at_most=SOON)
    await asyncio.wait_for(changes.wait(), LATE.total_seconds())
    changes.close()


@scenario
async def test_where_nothing_can_be_watched_it_is_looked_every_time(tmp_path: Path) -> None:
    changes = Changes(tmp_path / "missing", SystemClock(), settle=SOON, soon=NEVER, at_most=NEVER)
    await asyncio.wait_for(changes.wait(), LATE.total_seconds())
    await asyncio.wait_for(changes.wait(), LATE.total_seconds())
    changes.close()
