"""Whether mail can be taken, and until when the doors' certificate is valid.

In: what /readyz last found; a certificate's end, read at each scrape. Out: two gauges. Never: a probe of its own.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class HealthMetrics:
    """What /readyz says, as a series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ready = Gauge(
            "qboxrelay_ready",
            "1 when mail can be accepted durably; 0 when not, and /readyz says why.",
            registry=registry,
        )

    def found(self, ready: bool) -> None:  # noqa: FBT001 - a callback
        self._ready.set(ready)


class CertificateCollector(Collector):
    """When the certificate of the doors ends, as `read` finds it; no series where there is none."""

    def __init__(self, read: Callable[[], datetime | None]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "qboxrelay_tls_certificate_expiry_timestamp_seconds",
            "When the certificate of the doors ends, in seconds since 1970; missing without a certificate.",
        )
        ends_at = self._read()
        if ends_at is not None:
            family.add_metric([], ends_at.timestamp())
        yield family
