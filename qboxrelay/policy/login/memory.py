"""Logins that were proven a moment ago, so that an application which logs in for every mail costs one hash a minute.

In: a name and a password, the time. Out: whether just that was right within the last minute. Never: a password; what is kept is a MAC
under a key that the process made for itself and forgets with its end. A guess is never quicker for it: only what is right is here.
"""

import hashlib
import hmac

from qboxrelay.model.ids import RandomBytes

_SECONDS = 60.0


class ProvenLogins:
    """At most one password for each user."""

    def __init__(self, random_bytes: RandomBytes) -> None:
        self._key = random_bytes(32)
        self._proven: dict[bytes, tuple[bytes, float]] = {}

    def holds(self, user: bytes, password: bytes, now: float) -> bool:
        """`now` is in seconds of a monotonic clock."""
        mac, until = self._proven.get(user, (b"", 0.0))
        return hmac.compare_digest(mac, self._mac(user, password)) and now < until

    def add(self, user: bytes, password: bytes, now: float) -> None:
        """For a user that exists: that bounds the memory."""
        self._proven[user] = self._mac(user, password), now + _SECONDS

    def _mac(self, user: bytes, password: bytes) -> bytes:
        text = b"%d:%s:%s" % (len(user), user, password)
        return hmac.digest(self._key, text, hashlib.sha256)
