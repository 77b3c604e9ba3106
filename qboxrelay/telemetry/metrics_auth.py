"""Metrics of logins.

In: what became of AUTH. Out: series in the registry that was passed in. Never: a user name as a label, which anybody could make up.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram


class AuthMetrics:
    """Logins, failures by reason, what was not looked at, and the time that passwords take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._logins = Counter("qboxrelay_logins", "Logins that succeeded.", ["mechanism"], registry=registry)
        self._failures = Counter(
            "qboxrelay_login_failures", "Logins that failed, by reason.", ["reason"], registry=registry
        )
        self._throttled = Counter(
            "qboxrelay_logins_throttled",
            "Logins that were not looked at, by the limit that kept them from it.",
            ["limit"],
            registry=registry,
        )
        self._seconds = Histogram(
            "qboxrelay_login_hash_seconds",
            "Time until a password was compared with a hash, waiting included; logins proven within the minute need none.",
            registry=registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
        )

    def succeeded(self, mechanism: str) -> None:
        self._logins.labels(mechanism).inc()

    def failed(self, reason: str) -> None:
        self._failures.labels(reason).inc()

    def throttled(self, limit: str) -> None:
        self._throttled.labels(limit).inc()

    def hashed(self, seconds: float) -> None:
        self._seconds.observe(seconds)
