"""Whose turn it is: one submission of each client in a round; within a client, see `line`.

In: lines of clients. Out: keys and sizes that fit one request. Never: a choice that changes what is remembered: whoever stores it says so.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

from qboxrelay.spool.line import Chosen, Line

CLIENTS_AT_ONCE = 500
"""Clients that one claim goes round; the next claim begins behind the last one served."""
_REMEMBERED = 10_000
"""Clients with mail of several priorities whose place in their turns is kept."""


def choose(lines: Sequence[Line], max_messages: int, max_bytes: int) -> tuple[list[Chosen], str | None]:
    """What fits, and the client served last. A client whose next one does not fit has had its turn."""
    turns = deque(lines)
    chosen: list[Chosen] = []
    total, last = 0, None
    while turns and len(chosen) < max_messages:
        line = turns.popleft()
        first = line.next()
        if first is None or (chosen and total + first[1] + 1 > max_bytes):
            continue
        chosen.append(first)
        total += first[1] + 1
        last = line.client
        turns.append(line)
    return chosen, last


class Places:
    """Where each account's last round ended, and where each client with several priorities is in its turns."""

    def __init__(self) -> None:
        self._last_client: dict[str, str] = {}
        self._positions: OrderedDict[tuple[str, str], int] = OrderedDict()

    def last_client(self, account: str) -> str | None:
        """Behind whom the next round begins."""
        return self._last_client.get(account)

    def position(self, account: str, client: str) -> int:
        return self._positions.get((account, client), 0)

    def remember(self, account: str, lines: Sequence[Line], last: str | None) -> None:
        if last is not None:
            self._last_client[account] = last
        for line in lines:
            key = (account, line.client)
            if line.mixed:
                self._positions[key] = line.position
                self._positions.move_to_end(key)
            else:
                self._positions.pop(key, None)
        while len(self._positions) > _REMEMBERED:
            self._positions.popitem(last=False)
