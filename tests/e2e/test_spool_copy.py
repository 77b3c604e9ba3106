"""`qboxrelay spool copy` as a process, from a real file to a real server and back, killed between its steps."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qboxrelay.failpoints import VARIABLE
from qboxrelay.spool.parcels import PART_MESSAGES
from tests.contract.spool.harness import SqliteSpools, mail
from tests.support.postgres import require_postgres, shared_cluster
from tests.support.schemas import line_up_all

MAILS = 2 * PART_MESSAGES + 50
IDS = [f"{number:04}-1" for number in range(MAILS)]


def command(*arguments: str, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "spool", "copy", *arguments], env={**os.environ, **environment},
        capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


def copied(*arguments: str) -> Any:
    return json.loads(command(*arguments, "--json").stdout)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A spool with more mail than two parts hold."""
    (tmp_path / "file").mkdir()
    spools = SqliteSpools(tmp_path / "file")

    async def fill() -> None:
        async with spools.open() as spool:
            await spool.put([mail(one.removesuffix("-1")) for one in IDS])

    asyncio.run(fill())
    return spools.path


@pytest.fixture
def url() -> str:
    require_postgres()
    return shared_cluster().new_database()


def ids_in(place: str) -> list[str]:
    """Those that have content, in order of arrival, by a look of the test's own."""
    statement = "SELECT s.id FROM {0}submissions AS s JOIN {0}payloads AS p ON p.key = s.key ORDER BY s.key"
    if place.startswith("sqlite:"):
        path = Path(place.removeprefix("sqlite://"))
        line_up_all(path)
        with closing(sqlite3.connect(path)) as connection:
            return [one for (one,) in connection.execute(statement.format(""))]
    with psycopg.connect(place) as server:
        return [one for (one,) in server.execute(statement.format("qboxrelay.").encode())]


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("point", ["copy-taken", "copy-put", "copy-dropped"])
def test_killed_between_two_steps(point: str, back: bool, file: Path, url: str) -> None:
    """Whatever is in the one or the other is all there is, and a second run ends with each of them once, in order."""
    source, target = f"sqlite://{file}", url
    if back:
        command(source, target)
        source, target = target, source

    command(source, target, status=-signal.SIGKILL, **{VARIABLE: f"{point}:2"})

    both = [*ids_in(target), *ids_in(source)]
    assert set(both) == set(IDS)
    assert len(both) == MAILS + (PART_MESSAGES if point == "copy-put" else 0)
    done = copied(source, target)
    assert done["known"] == (PART_MESSAGES if point == "copy-put" else 0)
    assert ids_in(target) == IDS
    assert ids_in(source) == []


def test_what_it_says(file: Path, url: str) -> None:
    """A look first, then the move; for people and for programs; and why it cannot be done."""
    source = f"sqlite://{file}"
    assert "Would move 450 submissions (450 queued)" in command(source, url, "--dry-run").stdout
    assert json.loads(command(source, url, "-n", "--json").stdout)["mail"] == {"queued": MAILS}
    moved = command(source, url)
    assert "Moved 450 submissions." in moved.stdout
    assert f"{MAILS} of {MAILS}" in moved.stderr
    assert "are the same spool" in command(source, source, status=1).stderr
    assert "no spool" in command(f"{source}.none", url, status=1).stderr
    assert "no spool" in command(shared_cluster().new_database(), url, status=1).stderr
    assert not Path(f"{file}.none").exists()
    refused = command("postgresql://relay:secret@127.0.0.1:1/none", url, status=1).stderr
    assert "127.0.0.1:1/none" in refused
    assert "secret" not in refused
    assert "nothing.toml" in command("nothing.toml", url, status=1).stderr


def test_a_relay_that_has_the_file_is_in_the_way(file: Path, url: str) -> None:
    """Its process is named; nothing is moved."""
    spools = SqliteSpools(file.parent)

    async def beside() -> str:
        async with spools.open():
            done = await asyncio.to_thread(command, f"sqlite://{file}", url, status=1)
            return done.stderr

    assert f"in use by process {os.getpid()}" in asyncio.run(beside())
    assert ids_in(f"sqlite://{file}") == IDS
