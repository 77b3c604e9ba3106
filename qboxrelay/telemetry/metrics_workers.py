"""Metrics of worker processes.

In: workers that come and go. Out: series in the registry that was passed in. Never: a label for each process: their numbers say nothing.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge


class WorkerMetrics:
    """How many take mail, and how often one had to be started again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._running = Gauge(
            "qboxrelay_workers", "Worker processes that take mail; there are none with workers = 1.", registry=registry
        )
        self._restarts = Counter(
            "qboxrelay_worker_restarts",
            "Times that a worker process ended by itself and was started again.",
            registry=registry,
        )

    def running(self, count: int) -> None:
        self._running.set(count)

    def restarted(self) -> None:
        self._restarts.inc()
