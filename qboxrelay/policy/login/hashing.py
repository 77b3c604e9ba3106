"""Computing argon2 hashes beside the event loop.

In: hashes as the configuration has them, passwords as bytes. Out: whether they match. Never: more than `WORKERS` at a time, so that
memory stays below `WORKERS` times what the dearest hash takes (with the hashes of `qboxrelay hash-password` 38 MiB, with the dearest that
the configuration may hold 512 MiB); a queue that grows with the number of strangers.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from qboxrelay.settings.types import Secret

WORKERS = 2
"""argon2 computes without the interpreter lock."""
MAX_WAITING = 64
"""At 25 ms a hash the last of them waits less than a second."""

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""The first choice of OWASP's password storage cheat sheet for one core: 19 MiB, 2 passes."""


class HashingBusy(Exception):  # noqa: N818 - what the relay is
    """Too many hashes wait to be computed."""


class HashingFailed(Exception):  # noqa: N818 - what became of it
    """A hash could not be computed, for want of memory for example: nothing is known about the password."""


def hash_password(password: bytes) -> str:
    """A new hash, in the PHC string format. Takes about 25 ms of one core."""
    return _HASHER.hash(password)


class Hashing:
    """A pool of threads that compute hashes. `close()` ends it."""

    def __init__(self, observe: Callable[[float], None] = lambda _seconds: None) -> None:
        """`observe` is told how long each password waited and was computed."""
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="login")
        self._observe = observe
        self._pending = 0

    async def matches(self, password_hash: Secret, password: bytes) -> bool:
        """Raises `HashingBusy`, `HashingFailed`."""
        if self._pending >= MAX_WAITING + WORKERS:
            raise HashingBusy
        self._pending += 1
        started = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, _matches, password_hash.reveal(), password)
        finally:
            self._pending -= 1
            self._observe(time.perf_counter() - started)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _matches(password_hash: str, password: bytes) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except VerifyMismatchError:
        return False
    except (VerificationError, InvalidHashError) as error:
        raise HashingFailed(str(error)) from None
