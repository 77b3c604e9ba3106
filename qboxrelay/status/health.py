"""Able to accept, or not and why.

In: probes. Out: reasons by name. Never: a check that needs the network: a dead API is no reason to refuse mail; a line of the log for each look.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from qboxrelay.model.clock import Clock

Probe = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else one sentence."""

log = structlog.get_logger()

_PROBE_SECONDS = 5.0
_REMEMBERED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """`reasons` is empty exactly when the relay can accept mail durably."""

    reasons: dict[str, str]
    detail: dict[str, object]

    @property
    def ready(self) -> bool:
        return not self.reasons


class Health:
    """Asks every probe, at most once in two seconds, so that a scraper in a hurry costs no commits."""

    def __init__(
        self,
        *,
        probes: dict[str, Probe],
        detail: Callable[[], dict[str, object]],
        clock: Clock,
        stage: Callable[[], str | None] = lambda: None,
        found: Callable[[bool], None] = lambda _ready: None,
    ) -> None:
        """`stage` says in one sentence why it is too early or too late, as at every start and stop; `found` hears whether the relay is ready."""
        self._probes = probes
        self._detail = detail
        self._clock = clock
        self._stage = stage
        self._found = found
        self._asked_at = -_REMEMBERED_SECONDS
        self._reasons: dict[str, str] = {}
        self._asking = asyncio.Lock()

    async def readiness(self) -> Readiness:
        if self._stage() is not None:
            self._found(False)
            return self.latest()
        async with self._asking:
            if self._clock.monotonic() - self._asked_at >= _REMEMBERED_SECONDS:
                self._tell(await self._ask())
                self._asked_at = self._clock.monotonic()
        return Readiness(self._reasons, self._detail())

    def latest(self) -> Readiness:
        """As it was found last, without asking."""
        stage = self._stage()
        return Readiness(self._reasons if stage is None else {"relay": stage}, self._detail())

    def _tell(self, reasons: dict[str, str]) -> None:
        """What changed is said once."""
        if reasons.keys() != self._reasons.keys():
            if reasons:
                log.error("relay.not_ready", reasons=reasons)
            else:
                log.info("relay.ready_again")
        self._reasons = reasons
        self._found(not reasons)

    async def _ask(self) -> dict[str, str]:
        reasons = {}
        for name, probe in self._probes.items():
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    reason = await probe()
            except TimeoutError:
                reason = f"no answer within {_PROBE_SECONDS:g} seconds"
            except Exception as error:  # noqa: BLE001 - a probe that breaks is a reason, not an answer 500
                reason = f"the check itself failed: {type(error).__name__}"
            if reason is not None:
                reasons[name] = reason
        return reasons
