"""Claims of this node whose commit was not heard of: they may have come through, and nothing of them was sent.

In: leases before their commit, the errors of commits. Out: tokens to look for. Never: a search for what has run out: whoever claims next ends that.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

_BITS = 63
"""What a bigint holds."""


@dataclass(slots=True)
class Lease:
    """Of one claim. `token` tells it from any other, whatever numbers the server gives; `written` once it is part of the transaction."""

    token: int
    account: str
    length: timedelta
    written: bool = False


class Doubts:
    """Of one node."""

    def __init__(
        self, *, monotonic: Callable[[], float], draw: Callable[[], int] = lambda: secrets.randbits(_BITS)
    ) -> None:
        self._monotonic = monotonic
        self._draw = draw
        self._open: dict[int, tuple[str, float]] = {}

    def lease(self, account: str, length: timedelta) -> Lease:
        return Lease(self._draw(), account, length)

    def unheard(self, lease: Lease) -> None:
        """Its commit may come through at any time, as long as a server that stood still goes on."""
        if lease.written:
            self._open[lease.token] = lease.account, self._monotonic() + lease.length.total_seconds()

    def tokens(self) -> list[int]:
        now = self._monotonic()
        self._open = {token: doubt for token, doubt in self._open.items() if doubt[1] > now}
        return list(self._open)

    def accounts(self) -> set[str]:
        return {self._open[token][0] for token in self.tokens()}

    def settled(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            self._open.pop(token, None)
