"""Whom `qboxrelay reload` asks: the process that holds the spool and nobody else."""

import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qboxrelay.cli.reload import _ELSEWHERE, _ask


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that SIGHUP would end."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("exists", [True, False])
def test_number_of_another_container_is_not_signalled(
    tmp_path: Path, bystander: subprocess.Popen[bytes], *, exists: bool
) -> None:
    """A relay in a container wrote its number there, often 1: here that is another process, or none."""
    lock = tmp_path / "spool.lock"
    lock.write_text(str(bystander.pid) if exists else str(2**30))
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = _ask(tmp_path, 1)

    assert said == _ELSEWHERE
    assert bystander.poll() is None
