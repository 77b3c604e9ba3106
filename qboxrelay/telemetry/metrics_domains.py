"""Metrics of sender domains.

In: what the Management API and DNS said, and what became of mail. Out: series in the registry that was passed in. Never: a domain that
somebody merely sent from: only those that the Management API or the configuration names.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class DomainMetrics:
    """Refreshes, lookups and verdicts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refreshes = Counter(
            "qboxrelay_sender_domain_refreshes",
            "Times that the Management API was asked for the Delivery domains, by what came of it.",
            ["result"],
            registry=registry,
        )
        self._verdicts = Counter(
            "qboxrelay_sender_domain_verdicts",
            "Sender domains judged, by where the domain stood and what became of the mail.",
            ["state", "verdict"],
            registry=registry,
        )
        self._lookups = Counter(
            "qboxrelay_sender_domain_dns_lookups",
            "DNS questions that were asked, not those that the cache answered, by type and result.",
            ["type", "result"],
            registry=registry,
        )
        self._checks = Counter(
            "qboxrelay_sender_domain_dns_checks",
            "Looks at all DNS records of one domain, by the verdict on what is required.",
            ["verdict"],
            registry=registry,
        )
        self._records = Counter(
            "qboxrelay_sender_domain_dns_records",
            "DNS records that were looked at, by kind and verdict.",
            ["record", "verdict"],
            registry=registry,
        )
        # Known from the start, so that an alert on a failure sees the first one.
        self._refreshes.labels("ok")

    def refreshed(self, result: str) -> None:
        """`result` is `ok` or the reason of a `ManagementFailure`."""
        self._refreshes.labels(result).inc()

    def judged(self, state: str, verdict: str) -> None:
        self._verdicts.labels(state, verdict).inc()

    def looked_up(self, kind: str, result: str) -> None:
        self._lookups.labels(kind, result).inc()

    def checked(self, verdict: str) -> None:
        self._checks.labels(verdict).inc()

    def record(self, kind: str, verdict: str) -> None:
        self._records.labels(kind, verdict).inc()


class DomainCollector(Collector):
    """Where each domain stands, and how old that is, read at each scrape: (status by domain, seconds or None)."""

    def __init__(self, read: Callable[[], tuple[Mapping[str, str], float | None]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        domains, age = self._read()
        status = GaugeMetricFamily(
            "qboxrelay_sender_domain_status",
            "Always 1; the labels say where each known sender domain stands.",
            labels=["domain", "status"],
        )
        for domain, state in domains.items():
            status.add_metric([domain, state], 1)
        yield status
        oldness = GaugeMetricFamily(
            "qboxrelay_sender_domain_facts_age_seconds",
            "Seconds since the Management API last listed the Delivery domains; missing when it never did.",
        )
        if age is not None:
            oldness.add_metric([], age)
        yield oldness
