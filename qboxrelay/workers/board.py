"""Memory that all processes of a relay see: how many bytes of mail each worker holds, so that the limit is one for all.

In: a figure of each worker. Out: the sum of the others. Never: a lock: each place has one writer, and a sum that is a moment old is near enough.
"""

import mmap
import os

from qboxrelay.smtp.limits import Memory

_PLACES = 64
"""As many as `[relay] workers` allows."""
_BYTES = 8


class Board:
    """`descriptor` is what another process needs to see the same."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._places = memoryview(mmap.mmap(descriptor, _PLACES * _BYTES)).cast("q")

    @classmethod
    def make(cls) -> "Board":
        descriptor = os.memfd_create("qboxrelay-workers", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _PLACES * _BYTES)
        return cls(descriptor)

    def write(self, place: int, figure: int) -> None:
        self._places[place] = figure

    def others(self, place: int) -> int:
        """What all but one wrote."""
        return sum(self._places) - self._places[place]


class SharedMemory(Memory):
    """A worker's part of the memory that `max_receiving_bytes` allows to all."""

    def __init__(self, board: Board, place: int) -> None:
        super().__init__(0, lambda: board.others(place))
        self._board = board
        self._place = place
        board.write(place, 0)

    def _hold(self, size: int) -> None:
        super()._hold(size)
        self._board.write(self._place, self.used)
