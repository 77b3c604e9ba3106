"""The documented request rate, for one token.

In: monotonic seconds. Out: whether a request is one too many, and for how long. Never: a clock of its own.
"""


class TokenBucket:
    """Refills at `per_second` up to `burst`; that an idle token may burst is ASSUMED."""

    def __init__(self) -> None:
        self._filled: float | None = None
        self._at = 0.0

    def take(self, now: float, *, per_second: float, burst: int) -> float:
        """0 when the request may pass, else seconds until one may. A refused request takes nothing."""
        before = burst if self._filled is None else self._filled + (now - self._at) * per_second
        self._filled, self._at = min(float(burst), before), now
        if self._filled < 1:
            return (1 - self._filled) / per_second
        self._filled -= 1
        return 0.0
