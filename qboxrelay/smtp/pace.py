"""Who reads on, when many clients send long mail at once: a few connections in each pass of the event loop.

A connection whose buffer is read out at once could go on and on in the same pass, many megabytes; fifty of them would hold up everybody's
replies for a tenth of a second and more.

In: what lets a connection read on. Out: a call of it, in the order in which they came. Never: a call within the one that asks for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable

_IN_A_PASS = 8
"""Connections; each then reads 256 KB at most before it asks again."""


class Pace:
    """For the connections of a listener."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._asked = False

    def let(self, read_on: Callable[[], None]) -> None:
        """Call it when its turn has come."""
        self._waiting.append(read_on)
        self._ask()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._pass)

    def _pass(self) -> None:
        self._asked = False
        for _ in range(min(_IN_A_PASS, len(self._waiting))):
            self._waiting.popleft()()
        if self._waiting:
            self._ask()
