"""Disks that are full or fail: the caller hears of it, nothing half-done stays, and it ends when the fault ends."""

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.model.submission import State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import Spool, SpoolError, SpoolFull
from tests.contract.spool.harness import (
    ACCEPTED,
    LEASE,
    SqliteSpools,
    claim,
    counts,
    mail,
    names,
    scenario,
    sent,
    taken,
)
from tests.support.disk import eat, mounted
from tests.unit.spool.processes import run_child

MEGABYTE = 1_000_000
A_CHECK = timedelta(seconds=2)
"""Free space is looked up once a second."""
NO_RESERVE = SpoolSettings.model_validate({"min_free_bytes": 0})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "64m") as place:
        yield place


@scenario
async def test_a_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    """Mail is refused as full, what was taken stays, and space that comes back is used without a restart."""
    spools = SqliteSpools(small_disk)
    async with spools.open(settings=NO_RESERVE) as spool:
        await spool.put([mail("a")])
        food = eat(small_disk)
        for attempt in range(3):
            with pytest.raises(SpoolError):
                await spool.put([mail(f"large{attempt}", payload=b"x" * MEGABYTE)])
        food.unlink()
        spools.clock.advance(A_CHECK)
        await spool.put([mail("b", payload=b"x" * MEGABYTE)])
        assert await counts(spool) == spools.counted() == {State.QUEUED: (2, MEGABYTE + 15)}
    async with spools.open(settings=NO_RESERVE) as spool:
        assert names(await claim(spool, size=2 * MEGABYTE)) == ["a", "b"]


@scenario
async def test_the_reserve_is_kept_for_recording(small_disk: Path) -> None:
    """New mail stops while there is room left, and what is under way can be recorded in it."""
    spools = SqliteSpools(small_disk)
    settings = SpoolSettings.model_validate({"min_free_bytes": 40 * MEGABYTE})
    async with spools.open(settings=settings) as spool:
        with pytest.raises(SpoolFull, match="min_free_bytes"):
            await _put_until_refused(spools, spool)
        taken_in = (await spool.depth()).messages[State.QUEUED]
        assert taken_in > 0
        while taken_in:
            batch = await taken(spool, messages=5)
            await spool.record(batch, ACCEPTED, [sent(claimed) for claimed in batch.submissions])
            taken_in -= len(batch.submissions)


@scenario
async def test_an_answer_that_could_not_be_recorded_keeps_its_lease(small_disk: Path) -> None:
    """While the process lives, what it knows to be sent is not sent again: it hands the answer in until the disk takes it."""
    spools = SqliteSpools(small_disk)
    async with spools.open(settings=NO_RESERVE) as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        food = eat(small_disk)
        spools.clock.advance(LEASE - A_CHECK)
        with pytest.raises(SpoolFull):
            await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        food.unlink()
        spools.clock.advance(2 * A_CHECK)
        assert await claim(spool) == []
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        assert await counts(spool) == spools.counted() == {State.SENT: (1, 15)}


@scenario
async def test_space_inside_the_file_counts_as_free(small_disk: Path) -> None:
    """A backlog that was sent leaves free pages; mail goes there before the file grows."""
    spools = SqliteSpools(small_disk)
    disk = os.statvfs(small_disk)
    async with spools.open(settings=NO_RESERVE) as spool:
        await spool.put([mail("a", payload=b"x" * 15 * MEGABYTE)])
        batch = await taken(spool, size=20 * MEGABYTE)
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
    reserve = disk.f_bavail * disk.f_frsize - 8 * MEGABYTE
    async with spools.open(settings=SpoolSettings.model_validate({"min_free_bytes": reserve})) as spool:
        await spool.put([mail("b", payload=b"x" * 5 * MEGABYTE)])
        with pytest.raises(SpoolFull):
            await spool.put([mail("c", payload=b"x" * 5 * MEGABYTE)])


def test_a_file_that_may_not_grow_refuses_and_recovers(tmp_path: Path) -> None:
    """A quota or a limit: the write fails, the process lives, the spool works on when it is lifted."""
    lines = run_child(tmp_path, "put:a", "limit:400000", "large:b", "limit:", "large:c", "count")
    assert lines[3].startswith(("large:b SpoolCommitFailed", "large:b SpoolError", "large:b SpoolFull"))
    assert lines[5:] == ["large:c None", "count 2"]


@pytest.mark.parametrize("errno", ["EIO", "ENOSPC", "EDQUOT", "EROFS"])
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_failing_call_of_the_system_fails_only_its_commit(tmp_path: Path, call: str, errno: str) -> None:
    """It is refused once, and the next one is written anew: a call that failed is not trusted to have half worked."""
    lines = run_child(tmp_path, "put:a", _inject(call, errno), "put:b", "heal", "put:c", "count")
    _require_attached(lines)
    assert lines[1] == "put:a None"
    assert lines[3].startswith("put:b Spool")
    assert lines[5:] == ["put:c None", "count 2"]


@scenario
async def test_what_was_refused_does_not_come_back_after_a_crash(tmp_path: Path) -> None:
    """The commit whose fsync failed stands whole in the log. Its client was told to try again: it must not be sent as well."""
    lines = run_child(tmp_path, "put:a", _inject("fdatasync", "EIO"), "put:b", "die")
    _require_attached(lines)
    assert lines[3].startswith("put:b SpoolCommitFailed")
    async with SqliteSpools(tmp_path).open() as spool:
        assert names(await claim(spool)) == ["a"]


async def _put_until_refused(spools: SqliteSpools, spool: Spool) -> None:
    for number in range(1000):
        await spool.put([mail(str(number), payload=b"x" * 100_000)])
        spools.clock.advance(A_CHECK)


def _inject(call: str, errno: str) -> str:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    return f"inject:{call}:error={errno}"


def _require_attached(lines: list[str]) -> None:
    if "attached" not in lines[2]:
        pytest.skip(f"strace may not trace here: {lines[2]}")
