"""What this relay did, as its fellows on the same spool are told.

In: the metrics registry, monotonic seconds. Out: `Work`. Never: a look at the spool.
"""

from collections import deque
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from qboxrelay.spool.shared import Work

_WINDOW_SECONDS = 60.0
_ACCEPTED, _FINISHED = "qboxrelay_submissions_queued_total", "qboxrelay_submissions_finished_total"


class WorkMeter:
    """Called every few seconds. `registry` returns the one that counts for the whole relay."""

    def __init__(self, registry: Callable[[], CollectorRegistry], monotonic: Callable[[], float]) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._readings: deque[tuple[float, int, int]] = deque()

    def __call__(self) -> Work:
        now, accepted, sent = self._monotonic(), *self._counted()
        self._readings.append((now, accepted, sent))
        # One reading that is older than the window stays: from there on the rate is counted.
        while len(self._readings) > 1 and self._readings[1][0] <= now - _WINDOW_SECONDS:
            self._readings.popleft()
        then, accepted_then, sent_then = self._readings[0]
        seconds = now - then
        return Work(
            accepted=accepted,
            sent=sent,
            accepted_per_second=(accepted - accepted_then) / seconds if seconds > 0 else 0.0,
            sent_per_second=(sent - sent_then) / seconds if seconds > 0 else 0.0,
        )

    def _counted(self) -> tuple[int, int]:
        accepted = sent = 0.0
        for family in self._registry().restricted_registry([_ACCEPTED, _FINISHED]).collect():
            for sample in family.samples:
                if sample.name == _ACCEPTED:
                    accepted += sample.value
                elif sample.labels.get("state") == "sent":
                    sent += sample.value
        return int(accepted), int(sent)
