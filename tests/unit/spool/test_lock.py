"""One process at a time, however the last one ended."""

from pathlib import Path

import pytest

from qboxrelay.spool.port import SpoolError, SpoolLocked
from qboxrelay.spool.sqlite.lock import DirectoryLock
from tests.contract.spool.harness import SqliteSpools, claim, names, scenario
from tests.unit.spool.processes import run_child, running_child


def test_a_second_process_is_told_who_holds_the_spool(tmp_path: Path) -> None:
    """And gets it as soon as the first is gone, by kill -9 at that."""
    with running_child(tmp_path) as child:
        with pytest.raises(SpoolLocked, match=f"in use by process {child.pid}:"):
            DirectoryLock.acquire(tmp_path / "spool.lock")
        (line,) = run_child(tmp_path)
        assert line.startswith("open SpoolLocked")
    DirectoryLock.acquire(tmp_path / "spool.lock").release()


@scenario
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """With its lease: what was under way is unknown, what waited waits."""
    with running_child(tmp_path, "put:a", "claim", "put:b") as child:
        child.kill()
    async with SqliteSpools(tmp_path).open() as spool:
        (record,) = await spool.find("a")
        assert record.outcome == "unknown"
        assert names(await claim(spool)) == ["a", "b"]


def test_a_lock_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="cannot open"):
        DirectoryLock.acquire(tmp_path / "missing" / "spool.lock")
