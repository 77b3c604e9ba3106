"""What operators paused, for /readyz and the metrics.

In: the spool's pauses, read every second or so. Out: a detail, a gauge an account. Never: a reason not to be ready: mail that waits is
accepted all the same.
"""

from collections.abc import Iterable

from qboxrelay.spool.port import Pause, Spool
from qboxrelay.telemetry.metrics_spool import PauseMetrics


class OperatorPauses:
    """As the latest `refresh` found them."""

    def __init__(self, spool: Spool, accounts: Iterable[str], metrics: PauseMetrics) -> None:
        self._spool = spool
        self._accounts = tuple(accounts)
        self._metrics = metrics
        self._latest: list[Pause] = []

    async def refresh(self) -> None:
        """Raises `SpoolError`."""
        self._latest = await self._spool.pauses()
        paused = {pause.account for pause in self._latest}
        for account in self._accounts:
            self._metrics.paused(account, on=bool(paused & {"", account}))

    def shown(self) -> list[dict[str, str]]:
        """The account (all of them), since when, by whom and why."""
        return [
            {"account": one.account or "all", "since": one.at.isoformat(), "by": one.by, "why": one.why}
            for one in self._latest
        ]
