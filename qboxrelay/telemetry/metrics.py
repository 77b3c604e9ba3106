"""Metrics of the relay as a whole and of intake; the door, the spool and the dispatcher have files of their own.

In: counts and times. Out: series in the registry that was passed in. Never: a label whose values are not a closed set.
"""

import platform
import time
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    ProcessCollector,
    disable_created_metrics,
)

from qboxrelay.model.sender_domain import DomainState
from qboxrelay.telemetry.series import Count, Histogram

_WATCHED = ("spool_full", "spool_error", *[f"sender_domain_{state}" for state in DomainState])
"""Refusals that alerts look at: their series begin at 0, so that an increase sees the first one."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class IntakeMetrics:
    """What became of messages at the end of DATA."""

    def __init__(self, registry: CollectorRegistry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.now = monotonic
        self._accepted = Count("qboxrelay_mails_accepted", "Mails that were answered 250.", registry)
        self._submissions = Count("qboxrelay_submissions_queued", "Submissions that accepted mails became.", registry)
        self._bytes = Count("qboxrelay_mail_bytes", "Bytes of accepted mails, as received.", registry)
        self._refused = Counter(
            "qboxrelay_mails_refused", "Mails refused at the end of DATA, by rule.", ["rule"], registry=registry
        )
        for rule in _WATCHED:
            self._refused.labels(rule)
        self._lost = Counter(
            "qboxrelay_mapping_losses",
            "What the Send API's JSON could not say of accepted mails, by rule.",
            ["rule"],
            registry=registry,
        )
        self._confirmed = Counter(
            "qboxrelay_confirmations",
            "Mails whose client waited for the API's verdict: sent, refused, or late.",
            ["verdict"],
            registry=registry,
        )
        self._matched = Counter(
            "qboxrelay_sender_rule_matches",
            "Accepted mails that matched a sender rule, by rule, and whether it changed their From.",
            ["rule", "rewritten"],
            registry=registry,
        )

        self._mapping = Histogram(
            "qboxrelay_mail_mapping_seconds",
            "Time to read a mail, judge it and write its submissions, waiting for a thread included.",
            registry,
            buckets=_SECONDS,
        ).of()
        self._taking = Histogram(
            "qboxrelay_mail_taking_seconds",
            "Time from the last byte of an accepted mail until it was safe: mapping, sender domain, commit.",
            registry,
            buckets=_SECONDS,
        ).of()

    def mapped(self, since: float) -> None:
        """`since` is a reading of `now`."""
        self._mapping.observe(self.now() - since)

    def accepted(self, size: int, submissions: int, *, since: float, transaction_id: str) -> None:
        """`since` is a reading of `now` from when the mail was here."""
        seconds, at = self.now() - since, time.time()
        self._taking.observe_marked(seconds, transaction_id, at)
        self._accepted.value += 1
        self._accepted.mark = transaction_id, 1, at
        self._bytes.value += size
        self._submissions.value += submissions

    def refused(self, rule: str) -> None:
        self._refused.labels(rule).inc()

    def lost(self, rule: str) -> None:
        self._lost.labels(rule).inc()

    def confirmed(self, verdict: str) -> None:
        self._confirmed.labels(verdict).inc()

    def matched(self, rule: str, *, rewritten: bool) -> None:
        self._matched.labels(rule, "yes" if rewritten else "no").inc()


class SuppressionMetrics:
    """What the suppression list said of recipients, where it is asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lookups = Counter(
            "qboxrelay_suppression_lookups",
            "Recipients looked up in the suppression list: held, free, unknown; and those refused for it.",
            ["outcome"],
            registry=registry,
        )

    def looked_up(self, outcome: str) -> None:
        self._lookups.labels(outcome).inc()


def build_info(registry: CollectorRegistry, version: str) -> None:
    """What runs, and what the process and its garbage collector say of themselves."""
    # A second series for each counter, which nobody asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    info = Gauge(
        "qboxrelay_build_info", "Always 1; the versions are in the labels.", ["version", "python"], registry=registry
    )
    info.labels(version, platform.python_version()).set(1)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
