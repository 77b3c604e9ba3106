"""A token's requests over all relays of one spool: who starts the next one, and when.

Turns follow one another by the clock that all relays share, at the token's interval and a little more: by that much a request may start after its
turn without coming too near to those that follow. A turn that was missed by more is not used, and after it others leave more room.

In: a token's rate, monotonic seconds. Out: turns. Never: more requests within a second than are allowed, however many relays there are, and
however late this one or the answers to it are; a turn taken that could not be used, which would keep all relays waiting for it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qboxrelay.dispatch.rate import RateLimit
from qboxrelay.spool.shared import Shared

_ROOM = 0.05
"""How late a request may be, as a share of the time in which the API counts: so much of the rate is not used."""
_LATEST = 10.0
"""Seconds; the longest that is left as room for one request."""
_SHRINKS = 0.9


@dataclass(frozen=True, slots=True)
class Turn:
    """In monotonic seconds. It is surely reached at `starts_at`, and has surely not passed at `ends_at`. One that is not `taken` is anybody's."""

    starts_at: float
    ends_at: float
    taken: bool = True

    def wait(self, now: float) -> float:
        return max(0.0, self.starts_at - now)


class Turns:
    """Those of one lane."""

    def __init__(
        self,
        *,
        shared: Shared,
        account: str,
        token: Callable[[], bytes],
        rate: RateLimit,
        monotonic: Callable[[], float],
        heed: Callable[[str, int], Awaitable[None]],
    ) -> None:
        """`token` returns its digest as it is now. `heed` is told which version of the account's condition was known at each turn."""
        self._shared = shared
        self._account = account
        self._heed = heed
        self._token = token
        self._rate = rate
        self._monotonic = monotonic
        count, window = rate.window
        self._room = window * _ROOM
        self._interval = rate.interval + self._room / count
        self._late = self._room
        self._passed = 0

    async def next(self, until: float) -> Turn:
        """The next turn, taken if it comes `until` then. The account's gate is as up to date as the turn. Raises `SpoolError`; then nothing may
        start.
        """
        before, extra = self._monotonic(), self._late - self._room
        self._passed += self._rate.passed()
        turned = await self._shared.turn(
            self._token(),
            self._account,
            interval=self._interval,
            late=extra,
            accepted=self._passed,
            within=until - before,
        )
        if turned.taken:
            self._passed = 0
        turn = Turn(self._monotonic() + turned.wait, before + turned.wait + self._late, turned.taken)
        await self._heed(self._account, turned.version)
        return turn

    def use(self, turn: Turn, now: float) -> bool:
        """Whether a request may start with this turn now; else it is lost, and the next one gets more room."""
        if now > turn.ends_at:
            self._late = min(_LATEST, 2 * self._late)
            return False
        self._late = max(self._room, _SHRINKS * self._late)
        return True
