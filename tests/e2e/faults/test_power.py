"""P: the power goes. What was not synced is gone, wholly or in part; what was answered 250 is not.

The relay runs under strace, whose log holds every write to the spool's files, every sync, and every reply, in their order. From it
the files are built as the disk may hold them at the moment of any reply: what was synced, and of the rest nothing, all, or any part.
"""

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.ledger import Clients
from tests.support.processes import Relay, wait_until
from tests.support.schemas import line_up_all

MAILS = 40
CALLS = "trace=pwrite64,fdatasync,fsync,ftruncate,write,writev,sendto"
WRITE = re.compile(r'pwrite64\(\d+<([^>]*/spool\.db(?:-wal)?)>, "([^"]*)", \d+, (\d+)')
CUT = re.compile(r"ftruncate\(\d+<([^>]*/spool\.db(?:-wal)?)>, (\d+)")
SYNC = re.compile(r"f(?:data)?sync\(\d+<([^>]*/spool\.db(?:-wal)?)>(.*)")
RESUMED = re.compile(r"<\.\.\. f(?:data)?sync resumed>.*= 0")
REPLY = re.compile(r"(?:write|writev|sendto)\(\d+<(?:TCP|socket).*Ok: queued as (\w+)")


@dataclass
class File:
    """One file: what the disk holds for sure, and what was written since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    def sync(self) -> None:
        self.synced = self.image(self.pending)
        self.pending = []

    def image(self, applied: list[tuple[int, bytes]]) -> bytearray:
        content = bytearray(self.synced)
        for offset, data in applied:
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
        return content


class Disk:
    """The spool's files, as one line of the log after the other changes them."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self._syncing: dict[str, str] = {}

    def take(self, line: str) -> str | None:
        """The id that a reply promised by this line."""
        thread = line.split(maxsplit=1)[0]
        if (found := WRITE.search(line)) is not None:
            data = bytes.fromhex(found[2].replace("\\x", ""))
            self._file(found[1]).pending.append((int(found[3]), data))
        elif (found := CUT.search(line)) is not None:
            # To cut a file off is taken as done at once: the harder case for what is read from it.
            del self._file(found[1]).synced[int(found[2]) :]
        elif (found := SYNC.search(line)) is not None:
            if "unfinished" in found[2]:
                self._syncing[thread] = found[1]
            elif "= 0" in found[2]:
                self._file(found[1]).sync()
        elif RESUMED.search(line) is not None and thread in self._syncing:
            self._file(self._syncing.pop(thread)).sync()
        reply = REPLY.search(line)
        return reply[1] if reply is not None else None

    def crashes(self, chance: random.Random) -> Iterator[dict[str, bytearray]]:
        """Nothing of what was not synced, all of it, and some of it."""
        for share in (0.0, 1.0, 0.5):
            yield {
                Path(path).name: file.image([write for write in file.pending if chance.random() < share])
                for path, file in self.files.items()
            }

    def _file(self, path: str) -> File:
        return self.files.setdefault(path, File())


def _ids(directory: Path, files: dict[str, bytearray]) -> set[str]:
    """Transactions in the spool that a restart would find."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    line_up_all(directory / "spool.db")
    with closing(sqlite3.connect(directory / "spool.db")) as spool:
        assert spool.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = spool.execute(
            "SELECT id FROM submissions LEFT JOIN payloads USING (key) WHERE payload IS NOT NULL OR state = 'sent'"
        )
        return {id_.rpartition("-")[0] for (id_,) in rows}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian: apt install strace)")
def test_what_was_answered_is_on_the_disk(start_relay: Callable[..., Relay], tmp_path: Path) -> None:
    """At every 250 the disk holds the mail, whatever of the unsynced writes it holds besides; and the database is whole."""
    trace = tmp_path / "trace"
    relay = start_relay(account="max_requests_in_flight = 1")
    relay.stop()
    for file in (relay.directory / "data").glob("spool.db*"):
        file.unlink()
    relay.start(prefix=["strace", "-f", "-qq", "-yy", "-x", "-s", "1000000", "-o", str(trace), "-e", CALLS])
    clients = Clients()
    for thread in clients.load(relay.smtp_port, "power", clients=4, mails_each=MAILS // 4):
        thread.join(120)
    assert len(clients.acked) == MAILS
    # A client has its reply a moment before strace has written of it.
    wait_until(lambda: len(REPLY.findall(trace.read_text("latin-1"))) == MAILS, what="strace has written of each reply")
    relay.kill()

    disk, promised, chance = Disk(), set[str](), random.Random(1)
    states = 0
    with trace.open(encoding="latin-1") as log:
        for line in log:
            id_ = disk.take(line)
            if id_ is None:
                continue
            promised.add(id_)
            for files in disk.crashes(chance):
                states += 1
                lost = promised - _ids(tmp_path / "crashed", files)
                assert not lost, f"answered 250 and not on the disk: {sorted(lost)}"
    assert len(promised) == MAILS
    assert states == 3 * MAILS
