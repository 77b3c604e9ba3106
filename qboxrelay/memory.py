"""Memory of large mail goes back to the system when the mail is gone.

In: nothing. Out: an allocator that keeps large blocks apart from small ones. Never: a setting of the administrator's overruled.
"""

import contextlib
import ctypes
import os

_M_MMAP_THRESHOLD = -3
"""malloc.h of glibc."""
_LARGE_BYTES = 262_144
"""Above what mail usually is: only larger blocks cost a call of the system each."""


def keep_large_apart() -> None:
    """glibc raises the size from which it maps a block by itself to the largest that was ever freed, up to 32 MB; from then on mail of 30 MB
    comes from the heap, small blocks land between, and the heap never shrinks. A size that is set stays (mallopt(3)). Measured with 50
    clients of 30 MB: 400 MB instead of 540 at the most, 150 instead of 410 afterwards.
    """
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    # Other C libraries have no such function, and no such habit.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
