"""A spool that is damaged: what is copied, what is refused, and that nothing is taken for damage that is none."""

import asyncio
import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from qboxrelay.model.submission import State
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.sqlite import exchange
from qboxrelay.spool.sqlite.damage import damage_of, mark
from qboxrelay.spool.sqlite.opening import open_files
from qboxrelay.spool.sqlite.rescue import rescue
from qboxrelay.spool.statements import load_migrations
from tests.contract.spool.harness import ACCEPTED, SqliteSpools, claim, mail, names, retry, scenario, taken
from tests.unit.spool.processes import run_child

STAMP = "20260101T120000Z"
NEWEST = load_migrations("sqlite")[-1][0]
PAGE = 16384


def files(place: Path, pattern: str = "*") -> list[Path]:
    return sorted(place.glob(pattern))


def modes(place: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in files(place)}


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for the heartbeat."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            for name in tables
            if name != "heartbeat"
        }


async def fill(spools: SqliteSpools, *, mails: int = 6, size: int = 100) -> None:
    """Mail that waits, that is under way, that was tried; a fact, a pause and an act."""
    async with spools.open() as spool:
        payload = b'{"subject":"' + b"x" * size + b'"}'
        await spool.put([mail(f"m{number:03}", payload=payload) for number in range(mails)])
        batch = await taken(spool, messages=2, size=10_000_000)
        await spool.record(batch, ACCEPTED, [retry(batch.submissions[0], spools.clock.now() + timedelta(minutes=1))])
        await spool.remember("fact", b"value")
        await spools.queue().pause("other", by="somebody", why="wrong template")


@scenario
async def test_a_healthy_file_loses_nothing_by_a_rescue(tmp_path: Path) -> None:
    """Even where a file was called damaged and is not: every row of every table is in the new one, and every number goes on."""
    spools = SqliteSpools(tmp_path)
    await fill(spools)
    before = content(spools.path)

    mark(spools.path, "somebody said so")
    rescued = rescue(spools.path, "somebody said so", stamp=STAMP)

    assert content(spools.path) == before
    assert (rescued.submissions, rescued.unreadable) == (6, 0)
    assert damage_of(spools.path) is None
    assert f"spool.db.damaged-{STAMP}" in {path.name for path in files(tmp_path)}
    assert modes(tmp_path) == {0o600}


@scenario
async def test_originals_of_sent_mail_are_kept(tmp_path: Path) -> None:
    """Its content is gone on purpose: that is no damage."""
    spools = SqliteSpools(tmp_path)
    await fill(spools, mails=1)
    with closing(sqlite3.connect(spools.path)) as connection:
        connection.execute("UPDATE submissions SET state = 'sent'")
        connection.execute("UPDATE payloads SET payload = x'', raw = x'6d61696c'")
        connection.commit()
    mark(spools.path, "somebody said so")

    assert rescue(spools.path, "somebody said so", stamp=STAMP).unreadable == 0
    assert [row[1:3] for row in content(spools.path)["payloads"]] == [(b"", b"mail")]


@scenario
async def test_what_is_left_on_the_way_is_private(tmp_path: Path) -> None:
    """The mark and the plan as well, whatever the umask of who started it."""
    path = tmp_path / "spool.db"
    old = os.umask(0)
    try:
        mark(path, "damaged")
        exchange.plan(path, exchange.unused_name(path, STAMP))
    finally:
        os.umask(old)
    assert modes(tmp_path) == {0o600}


@scenario
async def test_a_file_called_damaged_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Its rows would not fit: it is left as it is, for the version that wrote it."""
    spools = SqliteSpools(tmp_path)
    await fill(spools)
    with closing(sqlite3.connect(spools.path)) as connection:
        connection.execute(f"PRAGMA user_version = {NEWEST + 1}")
    mark(spools.path, "met damage")
    before = spools.path.read_bytes()

    with pytest.raises(SpoolError, match="newer qboxrelay"):
        open_files(spools.path, stamp=STAMP)

    assert spools.path.read_bytes() == before
    assert not files(tmp_path, "spool.db.damaged-*")


@pytest.mark.parametrize("schema", range(1, NEWEST))
@scenario
async def test_a_damaged_file_of_an_older_version(schema: int, tmp_path: Path) -> None:
    """Its readable rows are migrated as those of a whole file would be."""
    spools = SqliteSpools(tmp_path)
    with closing(sqlite3.connect(spools.path)) as old:
        for number, script in load_migrations("sqlite")[:schema]:
            old.executescript(f"{script} PRAGMA user_version = {number};")
        for key in range(1, 4):
            old.execute(
                "INSERT INTO submissions (key, id, state, account, client_key, payload_bytes, received_at, envelope_sender,"
                " recipients, notify_never, is_notice, from_address, subject, message_id_header, client_address, client_helo,"
                " client_user, listener) VALUES"
                " (?, ?, 'queued', 'default', 'c', 15, 0, 'a@example.com', '[]', 0, 0, '', '', '', '', '', '', '')",
                (key, f"m{key}-1"),
            )
            old.execute("INSERT INTO payloads (key, payload) VALUES (?, ?)", (key, b'{"subject":"x"}'))
        old.commit()
    mark(spools.path, "met damage")

    with capture_logs() as logs:
        async with spools.open() as spool:
            assert names(await claim(spool)) == ["m1", "m2", "m3"]
    (said,) = [line for line in logs if line["event"] == "spool.rescued"]
    assert (said["submissions"], said["unreadable"]) == (3, 0)


@scenario
async def test_a_mark_that_means_nothing(tmp_path: Path) -> None:
    """A row with it would neither be claimed nor stand out: it is held, as one whose envelope cannot be read."""
    spools = SqliteSpools(tmp_path)
    await fill(spools, mails=1)
    with closing(sqlite3.connect(spools.path)) as connection:
        connection.execute("UPDATE submissions SET ready = 7")
        connection.commit()
    mark(spools.path, "met damage")
    async with spools.open() as spool:
        (record,) = await spool.latest()
        assert (record.state, record.reason) == (State.HELD, "rescued")


@scenario
async def test_an_older_rescue_is_never_written_over(tmp_path: Path) -> None:
    """Two rescues at what a clock calls the same second keep two files."""
    spools = SqliteSpools(tmp_path)
    kept = []
    for number in range(2):
        spools.path.write_bytes(b"no database" * 1000 + bytes([number]))
        kept.append(spools.path.read_bytes())
        open_files(spools.path, stamp=STAMP).lock.release()
    found = [path.read_bytes() for path in files(tmp_path, "spool.db.damaged-*") if not path.name.endswith("-wal")]
    assert sorted(found) == sorted(kept)


@pytest.mark.parametrize("text", ["", "\0\0\0\0", "../elsewhere", "spool.db"])
@scenario
async def test_a_plan_that_says_nothing_is_none(text: str, tmp_path: Path) -> None:
    """A power loss may leave an empty file or one of zeros: the start goes on, and the mail is where it was."""
    spools = SqliteSpools(tmp_path)
    await fill(spools)
    (tmp_path / "spool.db.exchange").write_text(text)
    async with spools.open() as spool:
        assert len(await claim(spool)) == 5
    assert not (tmp_path / "spool.db.exchange").exists()


@pytest.mark.parametrize("gone", ["emptied", "moved away"])
@scenario
async def test_a_log_without_its_file_is_kept(gone: str, tmp_path: Path) -> None:
    """SQLite deletes the log of an empty database; whoever moved the file by mistake may still put the two together."""
    spools = SqliteSpools(tmp_path)
    run_child(tmp_path, "put:a", "die")
    log = _octets(Path(f"{spools.path}-wal"))
    assert log
    if gone == "emptied":
        spools.path.write_bytes(b"")
    else:
        spools.path.rename(tmp_path / "moved")

    with capture_logs() as logs:
        async with spools.open() as spool:
            await spool.put([mail("b")])
    assert "spool.rescued" in [line["event"] for line in logs]
    assert [path.read_bytes() for path in files(tmp_path, "spool.db.damaged-*-wal")] == [log]


@scenario
async def test_shared_memory_that_is_gone(tmp_path: Path) -> None:
    """SQLite makes the -shm file again from the log: nothing is missing, nothing is rescued."""
    run_child(tmp_path, "put:a", "die")
    (tmp_path / "spool.db-shm").unlink()
    with capture_logs() as logs:
        async with SqliteSpools(tmp_path).open() as spool:
            assert names(await claim(spool)) == ["a"]
    assert "spool.rescued" not in [line["event"] for line in logs]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@scenario
async def test_log_that_was_cut_off(part: float, tmp_path: Path) -> None:
    """A log ends at the first record that is not whole, as after a power loss: what comes before it is there, nothing is half there."""
    run_child(tmp_path, *(f"put:m{number}" for number in range(6)), "die")
    log = tmp_path / "spool.db-wal"
    os.truncate(log, int(log.stat().st_size * part))
    async with SqliteSpools(tmp_path).open() as spool:
        found = names(await claim(spool))
        assert found == [f"m{number}" for number in range(len(found))]
        await spool.put([mail("afterwards")])
        assert names(await claim(spool)) == ["afterwards"]


@pytest.mark.parametrize("what", ["pipe", "folder", "link to nowhere"])
@scenario
async def test_what_is_no_file_is_refused_at_once(what: str, tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    make: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link to nowhere": lambda: path.symlink_to("/nowhere/at/all"),
    }
    make[what]()
    with pytest.raises(SpoolError, match="no regular file"):
        open_files(path, stamp=STAMP)


@scenario
async def test_a_folder_with_odd_letters(tmp_path: Path) -> None:
    """`?` and `#` end a path in a URI; a look at another file would find no damage."""
    folder = tmp_path / "a?b#c%20"
    folder.mkdir()
    (folder / "spool.db").write_bytes(b"no database" * 1000)
    async with SqliteSpools(folder).open() as spool:
        await spool.put([mail("a")])
    assert len(files(folder, "spool.db.damaged-*")) == 1


@scenario
async def test_foreign_files_beside_it_are_left_alone(tmp_path: Path) -> None:
    """Files, folders, pipes and dangling links in the spool's folder neither stop the start nor are touched."""
    spools = SqliteSpools(tmp_path)
    await fill(spools)
    (tmp_path / "core").write_bytes(b"foreign")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / os.fsdecode(b"odd\xff\nname")).touch()
    (tmp_path / "nowhere").symlink_to("/nowhere/at/all")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "spool.db.damaged")
    foreign = set(files(tmp_path))
    async with spools.open() as spool:
        assert len(await claim(spool)) == 5
    assert foreign <= set(files(tmp_path))


@scenario
async def test_noise_in_any_page_ends_and_invents_nothing(tmp_path: Path) -> None:
    """Whichever page is noise or another one's copy: the rescue ends, and what is in the new file was in the old one or is held."""
    spools = SqliteSpools(tmp_path / "whole")
    spools.path.parent.mkdir()
    await fill(spools, mails=60, size=3000)
    known = {row[1] for row in content(spools.path)["submissions"]}
    pages = spools.path.stat().st_size // PAGE
    chance = random.Random(1)
    for page in range(pages):
        for number, noise in enumerate(
            (chance.randbytes(PAGE), bytes(PAGE), _page(spools.path, chance.randrange(pages)))
        ):
            place = tmp_path / f"{page}-{number}"
            place.mkdir()
            path = place / "spool.db"
            shutil.copy(spools.path, path)
            with path.open("r+b") as file:
                file.seek(page * PAGE)
                file.write(noise)
            damaged = path.read_bytes()
            rescued = rescue(path, "noise", stamp=STAMP)
            assert rescued.saved_as.read_bytes() == damaged
            rows = content(path)["submissions"]
            assert {row[1] for row in rows} <= known | {f"rescued-{row[0]}" for row in rows}
            assert damage_of(path) is None
            shutil.rmtree(place)


def _octets(path: Path) -> bytes:
    return path.read_bytes()


def _page(path: Path, number: int) -> bytes:
    with path.open("rb") as file:
        file.seek(number * PAGE)
        return file.read(PAGE)


def test_a_disk_that_is_full_changes_nothing(tmp_path: Path) -> None:
    """No room for the copy: the start is refused and says so, no mail is dropped for want of space, and room that comes back is used."""
    spools = SqliteSpools(tmp_path)
    asyncio.run(fill(spools, mails=40, size=100_000))
    mark(spools.path, "met damage")
    before = spools.path.read_bytes()

    for size in (20_000, 1_000_000, 3_000_000):
        said = run_child(tmp_path, limit=size)
        assert "could not be rescued" in said[-1]
        assert spools.path.read_bytes() == before
        assert {path.name for path in tmp_path.iterdir()} <= {
            "spool.db",
            "spool.db-wal",
            "spool.db-shm",
            "spool.db.damaged",
            "spool.lock",
        }

    assert run_child(tmp_path, "count")[-2:] == ["open", "count 40"]
