"""What one transaction changes beside its rows: figures, and whom to wake once it is committed.

In: moves of submissions. Out: one statement's worth of figures. Never: a figure that is applied in memory before the commit.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from qboxrelay.model.submission import State
from qboxrelay.spool.postgres.connecting import Connection
from qboxrelay.spool.postgres.usage import WAITING


@dataclass(slots=True)
class Changes:
    """Of one transaction. `unsaved` figures are not written by a statement of their own kind."""

    woken: set[str] = field(default_factory=set)
    waiting_messages: int = 0
    waiting_bytes: int = 0
    _unsaved: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def moved(self, before: State, after: State, size: int) -> None:
        """The statement that did it wrote the figures, too."""
        change = (after in WAITING) - (before in WAITING)
        self.waiting_messages += change
        self.waiting_bytes += change * size

    def move(self, account: str, before: State, after: State, sizes: Sequence[int]) -> None:
        """To be written by `save`."""
        for state, sign in ((before, -1), (after, 1)):
            entry = self._unsaved[account, state.value]
            entry[0] += sign * len(sizes)
            entry[1] += sign * sum(sizes)
        for size in sizes:
            self.moved(before, after, size)

    async def save(self, sql: dict[str, str], connection: Connection) -> None:
        """In the same commit as the rows that changed them."""
        if self._unsaved:
            values = {
                "accounts": [account for account, _ in self._unsaved],
                "states": [state for _, state in self._unsaved],
                "messages": [messages for messages, _ in self._unsaved.values()],
                "bytes": [size for _, size in self._unsaved.values()],
            }
            await connection.execute(sql["add_depth"], values)
            self._unsaved.clear()
