"""Ends and beginnings: closing finishes what was begun, opening finds everything."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Spool, SpoolError, SpoolLocked
from tests.contract.spool.harness import (
    ACCEPTED,
    LEASE,
    Spools,
    claim,
    counts,
    failed,
    mail,
    names,
    scenario,
    sent,
    taken,
)


@scenario
async def test_everything_is_there_after_reopening(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail(name) for name in "abc"])
        batch = await taken(spool, messages=2)
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0]), failed(batch.submissions[1])])
        before = await spool.latest()
        figures = await counts(spool)
    async with spools.open() as spool:
        assert await spool.latest() == before
        assert await counts(spool) == figures == spools.counted()
        assert names(await claim(spool)) == ["c"]


@scenario
async def test_closing_commits_what_was_handed_in(spools: Spools) -> None:
    async with spools.open() as spool:
        puts = [asyncio.create_task(spool.put([mail(str(number))])) for number in range(50)]
        await asyncio.sleep(0)
        await spool.close()
        await asyncio.gather(*puts)
    assert spools.counted()[State.QUEUED][0] == 50


CALLS: dict[str, Callable[[Spool], Coroutine[Any, Any, object]]] = {
    "put": lambda spool: spool.put([mail("b")]),
    "claim": lambda spool: spool.claim("default", max_messages=1, max_bytes=1, lease=LEASE),
    "next_due_at": lambda spool: spool.next_due_at("default"),
    "wait_for_work": lambda spool: spool.wait_for_work("default"),
    "depth": lambda spool: spool.depth(),
    "find": lambda spool: spool.find("a"),
    "latest": lambda spool: spool.latest(),
    "prune": lambda spool: spool.prune(),
    "check_writable": lambda spool: spool.check_writable(),
}


@pytest.mark.parametrize("call", CALLS)
@scenario
async def test_a_closed_spool_refuses_every_call(spools: Spools, call: str) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a")])
    with pytest.raises(SpoolError, match="closed"):
        await CALLS[call](spool)


@scenario
async def test_closing_wakes_who_waits(spools: Spools) -> None:
    """Nobody waits for work that cannot come; closing again is no fault."""
    async with spools.open() as spool:
        assert await claim(spool) == []
        waiting = asyncio.create_task(spool.wait_for_work("default"))
        await asyncio.sleep(0)
        await spool.close()
        await waiting
        await spool.close()


@scenario
async def test_a_spool_has_one_owner(spools: Spools) -> None:
    """A second relay on the same spool is refused, and told who holds it; the first goes on."""
    async with spools.open() as spool:
        with pytest.raises(SpoolLocked, match="in use by process"):
            async with spools.open():
                pass
        await spool.put([mail("a")])
        assert names(await claim(spool)) == ["a"]
