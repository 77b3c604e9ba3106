"""Every metric of the relay, whatever a configuration leaves out.

In: nothing. Out: a registry; the names in it and in queries. Never: a running relay.
"""

import re
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from qboxrelay.model.clock import SystemClock
from qboxrelay.telemetry.metrics import IntakeMetrics, SuppressionMetrics, build_info
from qboxrelay.telemetry.metrics_auth import AuthMetrics
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics, NoticeMetrics
from qboxrelay.telemetry.metrics_domains import DomainCollector, DomainMetrics
from qboxrelay.telemetry.metrics_health import CertificateCollector, HealthMetrics
from qboxrelay.telemetry.metrics_loop import LoopLag
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics
from qboxrelay.telemetry.metrics_spool import DepthCollector, Figures, PauseMetrics, SpoolMetrics
from qboxrelay.telemetry.metrics_workers import WorkerMetrics

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_NAME = re.compile(r"\b(?:qboxrelay|process|python)_[a-z_]+\b")


def every_metric() -> CollectorRegistry:
    """As a relay has it that uses everything."""
    registry = CollectorRegistry()
    build_info(registry, "0")
    LoopLag(registry, SystemClock())
    for metrics in (
        IntakeMetrics,
        SuppressionMetrics,
        AuthMetrics,
        NoticeMetrics,
        DomainMetrics,
        SmtpMetrics,
        SpoolMetrics,
        HealthMetrics,
        PauseMetrics,
        WorkerMetrics,
    ):
        metrics(registry)
    DispatchMetrics(registry, window=1)
    registry.register(DomainCollector(lambda: ({}, time.monotonic())))
    registry.register(DepthCollector(Figures))
    registry.register(CertificateCollector(lambda: None))
    return registry


def families() -> dict[str, str]:
    """Type by name, as the documentation writes the name: counters with `_total`."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type for family in every_metric().collect()
    }


def names() -> set[str]:
    """What a query can ask for."""
    return {family.name + suffix for family in every_metric().collect() for suffix in _SUFFIXES.get(family.type, ("",))}


def asked_for(queries: Iterable[str]) -> set[str]:
    """The relay's metrics that queries name."""
    return {name for query in queries for name in _NAME.findall(query)}
