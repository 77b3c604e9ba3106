"""How fast requests may follow one another.

In: monotonic seconds, and whether the API found it too fast. Out: how long to wait for the next request. Never: more requests within a
second than are allowed, also not those that an idle hour saved up.
"""

from collections import deque
from collections.abc import Hashable, Mapping

_SLOWEST = 10.0
_FASTER = 0.02


class RateLimit:
    """Requests at an even distance, and never too many in any second. API page limits-quotas-suppression documents 10 for one token."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = float("-inf")
        count = max(1, int(per_second))
        self._window_seconds = count / per_second
        self._latest: deque[float] = deque(maxlen=count)
        self._slowness = 1.0
        """By what the distance is multiplied: who shares the token, and how the API counts, only its answers tell."""
        self._passed = 0

    @property
    def interval(self) -> float:
        """Seconds between requests at the allowed rate."""
        return self._interval

    @property
    def window(self) -> tuple[int, float]:
        """So many requests may start within so many seconds."""
        return self._latest.maxlen or 1, self._window_seconds

    def wait(self, now: float) -> float:
        """Seconds until a request may start; 0 when it may start now."""
        full = len(self._latest) == self._latest.maxlen
        window = self._latest[0] + self._window_seconds if full else now
        return max(0.0, self._next - now, window - now)

    def take(self, now: float) -> None:
        """A request starts. One that was late may be caught up with by half an interval, as far as the window allows."""
        interval = self._interval * self._slowness
        self._next = max(self._next + interval, now + interval / 2)
        self._latest.append(now)

    def too_fast(self) -> None:
        """The API refused a request for its rate: half as fast from now on."""
        self._slowness = min(_SLOWEST, self._slowness * 2)

    def accepted(self) -> None:
        """A request passed: a little faster again, never faster than allowed."""
        self._slowness = max(1.0, self._slowness - _FASTER)
        self._passed += 1

    def passed(self) -> int:
        """How many requests passed since this was last asked."""
        passed, self._passed = self._passed, 0
        return passed


def shared_rates(wanted: Mapping[str, tuple[Hashable, float]]) -> dict[str, RateLimit]:
    """One limit by name, from each name's token and requests a second. The API counts by token: who has the same one shares the slowest."""
    slowest: dict[Hashable, float] = {}
    for token, per_second in wanted.values():
        slowest[token] = min(per_second, slowest.get(token, per_second))
    limits = {token: RateLimit(per_second) for token, per_second in slowest.items()}
    return {name: limits[token] for name, (token, _) in wanted.items()}
