"""How often anybody may fail to log in: sliding windows over failures.

In: a client's address, a user name as it was sent, the time. Out: how long to wait before the next try is looked at. Never: more memory
than `_MAX_ENTRIES` of each kind take, whoever tries; a lockout of an application by somebody who guesses elsewhere.

A pair of address and user that has logged in within a day is counted by itself, and only by itself: failures of others neither hinder it,
nor does it, with a password that was changed, hinder others behind the same address.
"""

import hashlib
import ipaddress
from collections import OrderedDict, deque
from datetime import timedelta
from typing import Literal

from qboxrelay.model.telling import Tell, nobody
from qboxrelay.settings.schema import LoginSettings

Kind = Literal["address", "user", "pair"]
Key = tuple[Kind, bytes]
_MAX_ENTRIES = 10_000
"""Of windows, and of known pairs; the oldest give way. A window is at most 1,000 times (`[logins]`), and by default 20."""
_PAIR_KNOWN = timedelta(days=1).total_seconds()
_IPV6_SITE_BITS = 64
"""What one subscriber has at least (RFC 6177): counting single addresses of it would count nothing."""


class Throttle:
    """Counts failures. Times are seconds of a monotonic clock."""

    def __init__(self, settings: LoginSettings, tell: Tell = nobody) -> None:
        """`tell` says to other processes what `elsewhere` there is to hear."""
        self._tell = tell
        self._window = settings.failure_window.total_seconds()
        self._most: dict[Kind, int] = {
            "address": settings.max_failures_per_address,
            "user": settings.max_failures_per_user,
            "pair": settings.max_failures_per_user,
        }
        self._failures: OrderedDict[Key, deque[float]] = OrderedDict()
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def blocked(self, address: str, user: bytes, now: float) -> tuple[Kind, float] | None:
        """Which window is full, and in how many seconds it has room again; None when the login may be looked at."""
        waits = [(self._wait(key, now), key[0]) for key in self._keys(address, user, now)]
        seconds, kind = max(waits)
        return (kind, seconds) if seconds > 0 else None

    def elsewhere(self, outcome: str, address: str, user: str, now: float) -> None:
        """Another process says how a login ended there."""
        count = self._count_failure if outcome == "failed" else self._know
        count(address, user.encode("latin-1"), now)

    def failed(self, address: str, user: bytes, now: float) -> None:
        """Count a failure."""
        self._count_failure(address, user, now)
        self._tell("login", "failed", address, user.decode("latin-1"))

    def _count_failure(self, address: str, user: bytes, now: float) -> None:
        for key in self._keys(address, user, now):
            if most := self._most[key[0]]:
                times = self._failures.setdefault(key, deque(maxlen=most))
                self._failures.move_to_end(key)
                times.append(now)
        while len(self._failures) > _MAX_ENTRIES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str, user: bytes, now: float) -> None:
        """Know the pair for a day."""
        self._know(address, user, now)
        self._tell("login", "succeeded", address, user.decode("latin-1"))

    def _know(self, address: str, user: bytes, now: float) -> None:
        pair = _pair(address, user)
        self._known[pair] = now
        self._known.move_to_end(pair)
        while len(self._known) > _MAX_ENTRIES:
            self._known.popitem(last=False)

    def _wait(self, key: Key, now: float) -> float:
        times = self._failures.get(key)
        if times is None:
            return 0.0
        while times and times[0] <= now - self._window:
            times.popleft()
        if not times:
            del self._failures[key]
            return 0.0
        return times[0] + self._window - now if len(times) == times.maxlen else 0.0

    def _keys(self, address: str, user: bytes, now: float) -> tuple[Key, ...]:
        pair = _pair(address, user)
        if now - self._known.get(pair, -_PAIR_KNOWN) < _PAIR_KNOWN:
            return (("pair", pair),)
        return ("address", site_of(address)), ("user", _digest(user))


def _pair(address: str, user: bytes) -> bytes:
    return _digest(site_of(address) + b"\0" + user)


def site_of(address: str) -> bytes:
    """The network that counts as one client; what is no address stands for itself."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address.encode("utf-8", "surrogateescape")
    known = getattr(known, "ipv4_mapped", None) or known
    if known.version == 4:
        return known.packed
    return known.packed[: _IPV6_SITE_BITS // 8]


def _digest(text: bytes) -> bytes:
    """Names come from strangers and may be as long as they like, and be passwords; 16 bytes of each are enough to tell them apart."""
    return hashlib.blake2b(text, digest_size=16).digest()
