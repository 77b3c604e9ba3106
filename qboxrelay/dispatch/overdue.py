"""Giving up mail that grew too old while its account could not send at all.

An open breaker lets one mail through at a time: thousands that wait would have their own attempts, and so their end, only after weeks. The
account's trouble, measured by the monotonic clock, is then their attempt.

In: an account's condition. Out: failed submissions, told as all failures are. Never: mail that waits for a token or for quota; mail of an
account that sends; mail that is old by a clock which was just set.
"""

from datetime import timedelta
from typing import Protocol

import structlog

from qboxrelay.dispatch.gate import Condition, Status
from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import Batch
from qboxrelay.settings.schema import AccountSettings, DeliverySettings
from qboxrelay.spool.port import Spool

log = structlog.get_logger()

_TROUBLE = timedelta(hours=1)
"""How long an account must have been unable to send, without an end, before its old mail is given up; less where max_age is less."""
_LOOK_AGAIN = timedelta(minutes=1)
_AT_ONCE = 500


class GivingUp(Protocol):
    """What is needed of `dispatch.request.Requests`."""

    async def give_up(self, batch: Batch, text: str) -> None: ...


class Overdue:
    """For one account."""

    def __init__(
        self, *, account: AccountSettings, settings: DeliverySettings, spool: Spool, requests: GivingUp, clock: Clock
    ) -> None:
        self._account = account
        self._settings = settings
        self._spool = spool
        self._requests = requests
        self._clock = clock
        self._trouble = min(settings.max_age, _TROUBLE).total_seconds()
        self._look_at = float("-inf")

    async def give_up(self, status: Status) -> bool:
        """Give up some of what is too old; whether there was any."""
        if status.condition is not Condition.TROUBLE or status.lasted_seconds < self._trouble:
            return False
        if self._clock.monotonic() < self._look_at:
            return False
        batch = await self._spool.claim_overdue(
            self._account.name,
            received_before=self._clock.now() - self._settings.max_age,
            max_messages=_AT_ONCE,
            max_bytes=int(self._account.max_request_bytes),
            lease=self._settings.lease,
        )
        if batch is None:
            self._look_at = self._clock.monotonic() + _LOOK_AGAIN.total_seconds()
            return False
        log.warning(
            "mail.overdue",
            account=self._account.name,
            count=len(batch.submissions),
            trouble_seconds=round(status.lasted_seconds),
            reason=status.reason,
        )
        await self._requests.give_up(batch, status.reason)
        return True
