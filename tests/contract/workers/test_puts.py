"""Mail of several workers goes into a real spool together, and each hears of its own only."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.submission import State, Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolFull
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.workers.puts import Put, Puts
from qboxrelay.workers.words import error_from_bytes


class Answers:
    """A worker's end: what came for each of its questions."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.kept: list[int] = []
        self.refused: dict[int, bytes] = {}
        self.all = asyncio.Event()

    def answer(self, number: int, body: bytes = b"") -> None:
        assert not body
        self.kept.append(number)
        self._count()

    def refuse(self, number: int, body: bytes) -> None:
        self.refused[number] = body
        self._count()

    def _count(self) -> None:
        if len(self.kept) + len(self.refused) == self._wanted:
            self.all.set()


def mail(number: int, payload: bytes = b"{}") -> Submission:
    return Submission(
        id=f"{number}-1", transaction_id=str(number), account="default", client_key="192.0.2.1", payload=payload,
        received_at=datetime(2026, 11, 21, tzinfo=UTC), envelope_sender="", recipients=("bob@example.net",),
    )  # fmt: skip


async def put(folder: Path, settings: SpoolSettings, mails: Sequence[Submission]) -> tuple[Answers, int]:
    """All in one turn of the loop: the answers, and how many wait in the spool."""
    answers = Answers(len(mails))
    spool = await SqliteSpool.open(folder / "spool.db", settings=settings, clock=SystemClock())
    try:
        puts = Puts(spool)
        for number, one in enumerate(mails, start=1):
            puts.add(Put(answers, number, [one]))
        await answers.all.wait()
        return answers, (await spool.depth()).messages[State.QUEUED]
    finally:
        await spool.close()


def test_together(tmp_path: Path) -> None:
    """Each has its answer."""
    answers, waiting = asyncio.run(put(tmp_path, SpoolSettings(), [mail(number) for number in range(20)]))
    assert sorted(answers.kept) == list(range(1, 21))
    assert waiting == 20


def test_a_mail_for_which_there_is_no_room(tmp_path: Path) -> None:
    """It is refused for its size, and its neighbours are kept."""
    settings = SpoolSettings(max_bytes=1000)
    mails = [mail(1), mail(2, b"x" * 2000), mail(3)]
    answers, waiting = asyncio.run(put(tmp_path, settings, mails))

    assert sorted(answers.kept) == [1, 3]
    assert isinstance(error_from_bytes(answers.refused[2]), SpoolFull)
    assert waiting == 2


def test_a_mail_that_no_database_takes(tmp_path: Path) -> None:
    """A surprise in one costs the others nothing."""
    broken = mail(2)
    object.__setattr__(broken, "client_helo", "\udcff")
    answers, waiting = asyncio.run(put(tmp_path, SpoolSettings(), [mail(1), broken, mail(3)]))

    assert sorted(answers.kept) == [1, 3]
    assert list(answers.refused) == [2]
    assert waiting == 2


def test_a_commit_that_fails(tmp_path: Path) -> None:
    """All hear of it, and nothing is tried again behind their backs: another program keeps the file locked."""

    async def refused() -> tuple[Answers, int, int]:
        answers, tried = Answers(3), 0
        spool = await SqliteSpool.open(tmp_path / "spool.db", settings=SpoolSettings(), clock=SystemClock())
        keep = spool.put

        class Counting:
            async def put(self, submissions: Sequence[Submission]) -> None:
                nonlocal tried
                tried += 1
                await keep(submissions)

        try:
            with closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                puts = Puts(Counting())
                for number in range(1, 4):
                    puts.add(Put(answers, number, [mail(number)]))
                await answers.all.wait()
            return answers, tried, (await spool.depth()).messages.get(State.QUEUED, 0)
        finally:
            await spool.close()

    answers, tried, waiting = asyncio.run(refused())
    assert sorted(answers.refused) == [1, 2, 3]
    assert (answers.kept, tried, waiting) == ([], 1, 0)
