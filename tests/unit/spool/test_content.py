"""What stays of a message's content, and what its file gives back."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from qboxrelay.settings.schema import SpoolSettings
from tests.contract.spool.harness import ACCEPTED, SqliteSpools, failed, mail, scenario, sent, taken

Kept = dict[str, tuple[int, int | None]]
KEPT: dict[str, tuple[Kept, Kept]] = {
    "never": ({"f-1": (15, None)}, {}),
    "failed": ({"f-1": (15, 3)}, {}),
    "always": ({"s-1": (0, 3), "f-1": (15, 3)}, {"s-1": (0, 3), "f-1": (0, 3)}),
}
"""Bytes of content and of the message as received: after sending, and when failed content has been kept long enough."""


@pytest.mark.parametrize("keep_raw", ["never", "failed", "always"])
@scenario
async def test_content_stays_as_long_as_the_settings_say(
    tmp_path: Path, keep_raw: Literal["never", "failed", "always"]
) -> None:
    spools = SqliteSpools(tmp_path)
    settings = SpoolSettings(keep_raw=keep_raw, keep_failed_payloads=timedelta(days=1))
    async with spools.open(settings=settings) as spool:
        await spool.put([replace(mail("s"), raw=b"raw"), replace(mail("f"), raw=b"raw")])
        batch = await taken(spool)
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0]), failed(batch.submissions[1])])
        assert contents(spools.path) == KEPT[keep_raw][0]
        spools.clock.advance(timedelta(days=2))
        while await spool.prune():
            pass
        assert contents(spools.path) == KEPT[keep_raw][1]
        assert len(await spool.latest()) == 2


@scenario
async def test_the_file_shrinks_when_a_backlog_is_gone(tmp_path: Path) -> None:
    """All but some slack for the mail to come, in small steps."""
    spools = SqliteSpools(tmp_path)
    async with spools.open() as spool:
        await spool.put([mail("a", payload=b"x" * 75_000_000)])
        batch = await taken(spool, size=10**9)
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        while await spool.prune():
            pass
    assert spools.path.stat().st_size < 70_000_000


def contents(path: Path) -> Kept:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT id, length(payload), length(raw) FROM payloads JOIN submissions USING (key)")
        return {id_: (payload, raw) for id_, payload, raw in rows}
