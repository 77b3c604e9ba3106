"""A few connections read on in each pass of the event loop, in order."""

import asyncio

from qboxrelay.smtp.pace import Pace


def test_a_few_go_on_in_each_pass_and_all_in_order() -> None:
    """Twenty ask at once: eight, eight and four."""

    async def passes() -> list[int]:
        pace, called, found = Pace(), list[int](), list[int]()
        for number in range(20):
            pace.let(lambda number=number: called.append(number))  # type: ignore[misc]
        while len(called) < 20:
            await asyncio.sleep(0)
            found.append(len(called))
        assert called == list(range(20))
        return found

    assert asyncio.run(passes()) == [8, 16, 20]


def test_who_asks_again_comes_behind_the_others() -> None:
    async def order() -> list[str]:
        pace, called = Pace(), list[str]()

        def again() -> None:
            called.append("first")
            pace.let(lambda: called.append("again"))

        pace.let(again)
        for number in range(8):
            pace.let(lambda number=number: called.append(str(number)))  # type: ignore[misc]
        for _ in range(2):
            await asyncio.sleep(0)
        return called

    assert asyncio.run(order()) == ["first", *map(str, range(8)), "again"]
