"""What a killed relay left under way is said at the next start."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from qboxrelay.model.submission import State
from tests.contract.spool.harness import SqliteSpools, mail


@pytest.mark.parametrize("into", [State.QUEUED, State.HELD])
def test_requests_without_an_answer_are_said_at_the_next_start(tmp_path: Path, into: State) -> None:
    """How many submissions, of which account, and what becomes of them; nothing when all was recorded."""
    spools = SqliteSpools(tmp_path)

    async def run() -> None:
        async with spools.open() as spool:
            await spool.put([mail("a"), mail("b"), mail("c", account="other"), mail("d", account="other")])
            for account, count in (("default", 1), ("default", 1), ("other", 1)):
                await spool.claim(account, max_messages=count, max_bytes=1000, lease=timedelta(minutes=5))
        with capture_logs() as logs:
            async with spools.open(expired_into=into):
                pass
            async with spools.open(expired_into=into):
                pass
        said = {(line["event"], line["account"], line["count"], line["state"]) for line in logs}
        assert said == {("attempts.lost", "default", 2, into.value), ("attempts.lost", "other", 1, into.value)}
        assert len(logs) == 2

    asyncio.run(run())
