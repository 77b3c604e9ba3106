"""What other parts want kept: it survives, the latest counts, and a version says that it is another one."""

import pytest

from qboxrelay.spool.port import SpoolError
from tests.contract.spool.harness import Spools, scenario


@scenario
async def test_a_fact_survives_a_restart(spools: Spools) -> None:
    """Bytes come back as they were, also after a crash."""
    async with spools.open() as spool:
        await spool.remember("domains", b"\x00first\xff")
        await spool.remember("other", b"")
    async with spools.open() as spool:
        fact, other = await spool.recall("domains"), await spool.recall("other")
        assert fact is not None
        assert other is not None
        assert (fact.value, other.value) == (b"\x00first\xff", b"")
        assert await spool.recall("unheard-of") is None


@scenario
async def test_the_latest_counts_and_is_seen_once(spools: Spools) -> None:
    """Storing replaces, and moves the version on, even when the bytes are the same."""
    async with spools.open() as spool:
        await spool.remember("domains", b"one")
        first = await spool.recall("domains")
        assert first is not None
        assert await spool.recall("domains", after=first.version) is None
        for value in (b"two", b"two"):
            await spool.remember("domains", value)
            fact = await spool.recall("domains", after=first.version)
            assert fact is not None
            assert (fact.value, fact.version > first.version) == (b"two", True)
            first = fact


@scenario
async def test_a_closed_spool_says_so(spools: Spools) -> None:
    async with spools.open() as spool:
        pass
    with pytest.raises(SpoolError, match="closed"):
        await spool.remember("domains", b"late")
    with pytest.raises(SpoolError, match="closed"):
        await spool.recall("domains")
