"""How full the spool is, and whether more may come in.

In: committed changes of depth. Out: figures without counting rows, `SpoolFull`. Never: a refusal of delivery's own writes:
they need the reserve that is kept free here.
"""

import os
from collections.abc import Callable
from pathlib import Path

from qboxrelay.model.submission import State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import SpoolError, SpoolFull
from qboxrelay.spool.sqlite.transaction import WAITING, Transaction

_DISK_CHECK_SECONDS = 1.0


class Usage:
    """The figures in memory: the `depth` table and what came in just now. Changed by the writer thread; reading them elsewhere is safe."""

    def __init__(
        self,
        *,
        settings: SpoolSettings,
        directory: Path,
        reusable_bytes: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._reusable_bytes = reusable_bytes
        self._monotonic = monotonic
        self._checked_at: float | None = None
        self._free_bytes = 0
        self._entries: dict[tuple[str, str], list[int]]
        self._waiting: list[int]
        self.reload([])

    def apply(self, transaction: Transaction) -> None:
        self._apply(transaction.figures)

    def reload(self, rows: list[tuple[str, str, int, int]]) -> None:
        """Begin anew with these figures, after another process changed them."""
        entries: dict[tuple[str, str], list[int]] = {}
        for account, state, messages, size in rows:
            entry = entries.setdefault((account, state), [0, 0])
            entry[0] += messages
            entry[1] += size
        # At once: it is read elsewhere.
        self._entries = entries
        waiting = [entry for (_, state), entry in self._entries.items() if state in WAITING]
        self._waiting = [sum(messages for messages, _ in waiting), sum(size for _, size in waiting)]

    def by_state(self) -> tuple[dict[State, int], dict[State, int]]:
        """Messages and bytes by state."""
        messages = dict.fromkeys(State, 0)
        sizes = dict.fromkeys(State, 0)
        for (_, state), (count, size) in list(self._entries.items()):
            messages[State(state)] += count
            sizes[State(state)] += size
        return messages, sizes

    def by_account(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Messages and bytes by account and state."""
        return {key: (count, size) for key, (count, size) in list(self._entries.items())}

    def require_room(self, transaction: Transaction, messages: int, size: int) -> None:
        """Raise `SpoolFull` when so much more, beside what its group was admitted, would pass a limit."""
        settings = self._settings
        if self._waiting[0] + transaction.admitted_messages + messages > settings.max_messages:
            raise SpoolFull(f"max_messages = {settings.max_messages} is reached")
        if self._waiting[1] + transaction.admitted_bytes + size > settings.max_bytes:
            raise SpoolFull(f"max_bytes = {int(settings.max_bytes)} is reached")
        if self._free() - size < settings.min_free_bytes:
            raise SpoolFull(f"less than min_free_bytes = {int(settings.min_free_bytes)} would be left on the disk")
        transaction.admitted_messages += messages
        transaction.admitted_bytes += size
        self._free_bytes -= size

    def _apply(self, changes: dict[tuple[str, str], list[int]]) -> None:
        for (account, state), (messages, size) in changes.items():
            entries = [self._entries.setdefault((account, state), [0, 0])]
            if state in WAITING:
                entries.append(self._waiting)
            for entry in entries:
                entry[0] += messages
                entry[1] += size

    def _free(self) -> int:
        """Free bytes on the disk and inside the database file, as of the last second."""
        now = self._monotonic()
        if self._checked_at is None or now - self._checked_at >= _DISK_CHECK_SECONDS:
            try:
                status = os.statvfs(self._directory)
            except OSError as error:
                raise SpoolError(f"cannot look at {self._directory}: {error.strerror}") from error
            self._free_bytes = status.f_bavail * status.f_frsize + self._reusable_bytes()
            self._checked_at = now
        return self._free_bytes
