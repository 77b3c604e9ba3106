"""Metrics of the SMTP door.

In: sessions, commands, replies. Out: series in the registry that was passed in. Never: a label that a client could choose.
"""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from qboxrelay.telemetry.metrics_age import Ages
from qboxrelay.telemetry.series import Count, Histogram


class TallyCollector(Collector):
    """What is counted in a plain table: commands and replies come several for each mail, and a `Counter` takes a lock for each."""

    def __init__(self, name: str, text: str, label: str) -> None:
        self.tally: dict[str | int, int] = {}
        self._name = name
        self._text = text
        self._label = label

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=[self._label])
        for value, count in sorted((str(value), count) for value, count in self.tally.items()):
            family.add_metric([value], count)
        yield family


class SmtpMetrics:
    """What happens at the door; series that every command touches are looked up once."""

    def __init__(self, registry: CollectorRegistry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._sessions = Counter("qboxrelay_smtp_sessions", "SMTP connections.", ["listener"], registry=registry)
        self._open = Gauge(
            "qboxrelay_smtp_sessions_open", "SMTP connections that are open.", ["listener"], registry=registry
        )
        self._listeners: dict[str, tuple[Counter, Gauge]] = {}
        self._lasted = Histogram(
            "qboxrelay_smtp_session_seconds",
            "How long SMTP connections lasted.",
            registry,
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 1800),
            label="listener",
        )
        self._silent = Ages(
            "qboxrelay_smtp_last_session_age_seconds",
            "Seconds since somebody last connected; since the start when nobody has.",
            "listener",
            monotonic,
        )
        commands = TallyCollector("qboxrelay_smtp_commands", "Commands by verb; unknown for all others.", "verb")
        replies = TallyCollector("qboxrelay_smtp_replies", "Replies by code.", "code")
        for collector in (self._silent, commands, replies):
            registry.register(collector)
        self._commands, self._replies = commands.tally, replies.tally
        self._bytes = Count("qboxrelay_smtp_received_bytes", "Bytes received in DATA.", registry)
        self._limited = Counter("qboxrelay_smtp_limited", "Limits that acted, by name.", ["limit"], registry=registry)
        self._tls_failed = Counter(
            "qboxrelay_smtp_tls_failures", "TLS handshakes that failed.", ["listener"], registry=registry
        )
        self._proxy_failed = Counter(
            "qboxrelay_smtp_proxy_failures",
            "Connections without a usable PROXY header.",
            ["listener"],
            registry=registry,
        )

    def listening(self, listener: str) -> None:
        """A listener that is there, and has not seen a session yet."""
        self._of(listener)
        self._silent.known(listener)

    def opened(self, listener: str) -> float:
        """Returns what `closed` is to be given."""
        sessions, open_now = self._of(listener)
        sessions.inc()
        open_now.inc()
        self._silent.happened(listener)
        return self._monotonic()

    def closed(self, listener: str, opened: float) -> None:
        _, open_now = self._of(listener)
        open_now.dec()
        self._lasted.of(listener).observe(self._monotonic() - opened)

    def _of(self, listener: str) -> tuple[Counter, Gauge]:
        """Its sessions, and those that are open: looked up once, because `labels` takes longer than to count."""
        found = self._listeners.get(listener)
        if found is None:
            found = self._listeners[listener] = self._sessions.labels(listener), self._open.labels(listener)
        return found

    def commanded(self, verb: str) -> None:
        """`verb` is one that the door knows, or `unknown`."""
        self._commands[verb] = self._commands.get(verb, 0) + 1

    def replied(self, code: int) -> None:
        self._replies[code] = self._replies.get(code, 0) + 1

    def received(self, size: int) -> None:
        self._bytes.value += size

    def limited(self, limit: str) -> None:
        """`limit` is the name of the setting that acted."""
        self._limited.labels(limit).inc()

    def tls_failed(self, listener: str) -> None:
        self._tls_failed.labels(listener).inc()

    def proxy_failed(self, listener: str) -> None:
        self._proxy_failed.labels(listener).inc()
