"""Whether an account may send now: pauses (token, quota, rate) and the breaker, in one small state machine.

In: effects of answers, monotonic seconds. Out: when the next request may start and whether it is a probe. Never: a decision about a
single mail.

    running ──configuration, quota──▶ paused ──time, or a changed token──▶ probing ──success──▶ running
            ──trouble, n in a row──▶ broken ──time──▶ probing ──failure──▶ paused, broken
            ──rate──▶ waiting ──time──▶ running

Several relays on one spool go by one condition: what the API said to one of them is told to the others (`tell`), and heard from them (`hear`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from qboxrelay.qboxmail.answer import Effect
from qboxrelay.settings.schema import DeliverySettings

_MAX_RATE_PAUSE = timedelta(minutes=1)


class Condition(StrEnum):
    """How an account is; the words of /readyz and of the metric."""

    RUNNING = "running"
    CONFIGURATION = "configuration"
    QUOTA = "quota"
    RATE = "rate"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Status:
    """An account's condition, the reason in the API's or the network's words, how long it lasts, and when it is tried again."""

    condition: Condition
    reason: str
    lasted_seconds: float
    wait_seconds: float


class Gate:
    """The gate of one account."""

    def __init__(self, settings: DeliverySettings, now: float, tell: Callable[[], None] = lambda: None) -> None:
        """`tell` hears that there is something that others should know: `news` is set until they do."""
        self._settings = settings
        self._tell = tell
        self.news = False
        self.shared = False
        """The condition is one that the others have, too; or they are to be told of its end."""
        self._new_token = False
        self._since = now
        self.condition = Condition.RUNNING
        self._reason = ""
        self._until = 0.0
        self._failures = 0
        self._rate_pause = settings.rate_pause

    def wait(self, now: float) -> float:
        """Seconds until a request may start; 0 when it may start now."""
        return max(0.0, self._until - now)

    @property
    def probing(self) -> bool:
        """The next request is to be small and alone: it finds out whether the account works again."""
        return self.condition is not Condition.RUNNING

    @property
    def asks(self) -> bool:
        """Whether it is agreed on who probes. A new token was tried by nobody yet, and each relay may have it at another time."""
        return self.shared and self.probing and not self._new_token

    @property
    def paused(self) -> bool:
        """What is leased must not wait for the end of this: it may take long."""
        return self.condition in {Condition.CONFIGURATION, Condition.QUOTA, Condition.TROUBLE}

    def status(self, now: float) -> Status:
        return Status(self.condition, self._reason, now - self._since, self.wait(now))

    def token_changed(self) -> None:
        """A new token is worth a probe at once, whatever others say of the one before."""
        if self.condition is Condition.CONFIGURATION:
            self._until, self._new_token, self.news = 0.0, True, False

    def hear(self, told: Status, now: float) -> bool:
        """Go by what another relay found, unless there is news of our own; True when the condition changed."""
        until, before = now + told.wait_seconds, self.condition
        # What holds here alone, such as trouble with this machine's network, is not over because others do well.
        own = before is not Condition.RUNNING and not self.shared
        if self.news or (own and (told.condition is Condition.RUNNING or until < self._until)):
            return False
        if told.condition is Condition.RUNNING:
            self._run()
        else:
            self.condition, self._reason, self._until = told.condition, told.reason, until
        self.shared, self._new_token = told.condition is not Condition.RUNNING, False
        if self.condition is not before:
            self._since = now - told.lasted_seconds
        return self.condition is not before

    def judge(
        self, effect: Effect, now: float, *, reason: str, retry_after: timedelta | None, everywhere: bool = True
    ) -> bool:
        """Take an answer's effect in; True when the condition changed. `everywhere`: it would be the same for other relays."""
        before, until = self.condition, self._until
        self._take_in(effect, now, reason=reason, retry_after=retry_after)
        if (self.condition, self._until) != (before, until):
            self._note(everywhere=everywhere)
        if self.condition is before:
            return False
        self._since = now
        return True

    def _note(self, *, everywhere: bool) -> None:
        self._new_token = False
        if self.condition is Condition.RUNNING:
            self.news = self.shared
        else:
            self.news = self.shared = everywhere
        if self.news:
            self._tell()

    def _take_in(self, effect: Effect, now: float, *, reason: str, retry_after: timedelta | None) -> None:
        match effect:
            case Effect.CONFIGURATION:
                self._pause(Condition.CONFIGURATION, now, self._settings.account_pause, reason)
            case Effect.QUOTA:
                self._pause(Condition.QUOTA, now, self._obeyed(retry_after) or self._settings.quota_pause, reason)
            case Effect.RATE:
                self._slow_down(now, retry_after, reason)
            case Effect.TROUBLE:
                self._count_failure(now, retry_after, reason)
            case Effect.NONE | Effect.BISECT | Effect.SMALLER:
                self._recover(now)

    def _recover(self, now: float) -> None:
        # An answer to a request that began before a pause does not end it.
        self._failures = 0
        if self._until <= now:
            self._run()

    def _run(self) -> None:
        self.condition, self._reason, self._until = Condition.RUNNING, "", 0.0
        self._rate_pause = self._settings.rate_pause

    def _slow_down(self, now: float, retry_after: timedelta | None, reason: str) -> None:
        told = self._obeyed(retry_after)
        if told is not None:
            self._pause(Condition.RATE, now, told, reason)
        elif self.wait(now) == 0:  # else a request that was under way hears once more what is obeyed already
            self._pause(Condition.RATE, now, self._rate_pause, reason)
            self._rate_pause = min(self._rate_pause * 2, _MAX_RATE_PAUSE)

    def _count_failure(self, now: float, retry_after: timedelta | None, reason: str) -> None:
        self._failures += 1
        if self._failures >= self._settings.breaker_failures or self.condition is Condition.TROUBLE:
            self._pause(Condition.TROUBLE, now, self._settings.breaker_pause, reason)
        elif (told := self._obeyed(retry_after)) is not None:
            self._pause(Condition.RATE, now, told, reason)

    def _obeyed(self, retry_after: timedelta | None) -> timedelta | None:
        return None if retry_after is None else min(retry_after, self._settings.max_retry_after)

    def _pause(self, condition: Condition, now: float, duration: timedelta, reason: str) -> None:
        until = now + duration.total_seconds()
        # A late answer that asks for less does not hide what is waited for already.
        if until >= self._until:
            self.condition, self._reason, self._until = condition, reason, until
