"""Waiting for whichever comes first."""

import asyncio

import pytest

from qboxrelay.dispatch.wait import first_of


def test_first_one_ends_the_wait_and_the_others() -> None:
    """When one is done, the others are cancelled and finished before control returns."""

    async def main() -> list[str]:
        ended = []

        async def long() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        await first_of(long(), asyncio.sleep(0), long())
        return ended

    assert asyncio.run(main()) == ["cancelled", "cancelled"]


def test_error_of_the_first_is_raised() -> None:
    """A wait that fails is not taken for one that is over."""

    async def fail() -> None:
        raise LookupError

    async def main() -> None:
        await first_of(fail(), asyncio.Event().wait())

    with pytest.raises(LookupError):
        asyncio.run(main())
