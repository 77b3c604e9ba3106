"""Recipients that Qboxmail would not deliver to: refused at the door, where the settings say so.

In: an address. Out: the reply that refuses it, or None. Never: mail that waits for the list longer than the settings allow, or that is
refused because the list cannot be read.
"""

from collections import OrderedDict
from datetime import timedelta
from typing import Protocol

import structlog

from qboxrelay.model.address import Address
from qboxrelay.model.clock import Clock
from qboxrelay.model.reply import Reply
from qboxrelay.model.sender_domain import ManagementFailure
from qboxrelay.telemetry.metrics import SuppressionMetrics

log = structlog.get_logger()

REFUSED = Reply(
    550,
    "5.7.1",
    "The address is on Qboxmail's suppression list, because mail to it bounced or was complained about: "
    "remove it from your recipients, or from the list",
)
_MOST_KEPT = 50_000
_MOST_AT_ONCE = 8
_QUIET_SECONDS = 30.0


class Lookup(Protocol):
    """What is needed of `qboxmail.suppressions.SuppressionClient`."""

    async def holds(self, address: str) -> bool: ...


class SuppressionGate:
    """Asks about each address once in a while."""

    def __init__(self, *, lookup: Lookup, keep: timedelta, clock: Clock, metrics: SuppressionMetrics) -> None:
        self._lookup = lookup
        self._keep = keep.total_seconds()
        self._clock = clock
        self._metrics = metrics
        self._known: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()
        self._asking = 0
        self._quiet_until = float("-inf")

    async def refused(self, address: Address) -> Reply | None:
        """Why the recipient is not taken; None when it is."""
        known = self._known.get(address.folded_key)
        if known is None or known[0] <= self._clock.monotonic():
            held = await self._ask(address)
        else:
            held = known[1]
        if not held:
            return None
        self._metrics.looked_up("refused")
        return REFUSED

    async def _ask(self, address: Address) -> bool:
        """False, too, while the list cannot be read: such answers are not kept."""
        if self._asking >= _MOST_AT_ONCE or self._clock.monotonic() < self._quiet_until:
            self._metrics.looked_up("unknown")
            return False
        self._asking += 1
        try:
            held = await self._lookup.holds(str(address))
        except ManagementFailure as failure:
            self._quiet_until = self._clock.monotonic() + _QUIET_SECONDS
            self._metrics.looked_up("unknown")
            log.warning(
                "suppressions.unreadable", reason=failure.reason, text=str(failure), quiet_seconds=_QUIET_SECONDS
            )
            return False
        finally:
            self._asking -= 1
        self._metrics.looked_up("held" if held else "free")
        self._keep_answer(address, held=held)
        return held

    def _keep_answer(self, address: Address, *, held: bool) -> None:
        self._known[address.folded_key] = (self._clock.monotonic() + self._keep, held)
        self._known.move_to_end(address.folded_key)
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)
