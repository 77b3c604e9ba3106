"""Work that another transaction was in the way of is done again."""

import asyncio

import pytest

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.faults import SpoolConflict
from qboxrelay.spool.postgres.transacting import insist


class Work:
    """In the way of whose first tries something is. It counts them, and the pauses between."""

    def __init__(self, error: SpoolError, times: int) -> None:
        self.tries = self.pauses = 0
        self._error = error
        self._times = times

    async def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self._times:
            raise self._error
        return "done"

    def chance(self) -> float:
        self.pauses += 1
        return 0.0


@pytest.mark.parametrize("times", [0, 1, 5])
def test_conflicts_that_end(times: int) -> None:
    """With a pause by chance behind each, so that two do not meet again and again."""
    work = Work(SpoolConflict("deadlock"), times)
    assert asyncio.run(insist(work, chance=work.chance)) == "done"
    assert (work.tries, work.pauses) == (times + 1, times)


def test_conflicts_without_end() -> None:
    """Are told."""
    work = Work(SpoolConflict("deadlock"), 100)
    with pytest.raises(SpoolConflict):
        asyncio.run(insist(work, chance=work.chance))
    assert (work.tries, work.pauses) == (6, 5)


def test_other_errors() -> None:
    """Would come again."""
    work = Work(SpoolError("broken"), 1)
    with pytest.raises(SpoolError, match="broken"):
        asyncio.run(insist(work, chance=work.chance))
    assert (work.tries, work.pauses) == (1, 0)
