"""Metrics of sending.

In: requests and outcomes. Out: series in the registry that was passed in. Never: a label whose values are not a closed set, but for the
window of the latest requests, which is bounded; elsewhere the ids travel as exemplars.
"""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from qboxrelay.telemetry import series
from qboxrelay.telemetry.exemplar import exemplar
from qboxrelay.telemetry.metrics_age import Ages
from qboxrelay.telemetry.metrics_window import Ended, RequestWindow

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3600, 21600, 86400)
_OUTCOMES = ("accepted", "refused", "deferred", "unknown")
_ENDS = ("sent", "failed", "held")


class DispatchMetrics:
    """Requests, attempts and the accounts' conditions."""

    def __init__(
        self, registry: CollectorRegistry, *, window: int = 0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`window` is how many of the latest requests are series of their own."""
        self._window = RequestWindow(window)
        self._silent = Ages(
            "qboxrelay_send_last_accepted_age_seconds",
            "Seconds since the API last accepted something; since the start when it has not.",
            "account",
            monotonic,
        )
        registry.register(self._silent)
        if window:
            registry.register(self._window)
        self._requests = Counter(
            "qboxrelay_send_requests",
            "Requests to the Send API, by HTTP status or what kept it from one.",
            ["account", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "qboxrelay_send_request_seconds", "Time of a request.", ["account"], registry=registry, buckets=_SECONDS
        )
        self._messages = Histogram(
            "qboxrelay_send_request_messages",
            "Submissions in a request.",
            ["account"],
            registry=registry,
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
        )
        self._bytes = Counter(
            "qboxrelay_send_request_bytes", "Bytes of request bodies.", ["account"], registry=registry
        )
        self._outcomes = Counter(
            "qboxrelay_attempts", "Attempts by outcome.", ["account", "outcome"], registry=registry
        )
        self._finished = Counter(
            "qboxrelay_submissions_finished",
            "Submissions by the state they ended in.",
            ["account", "state"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "qboxrelay_send_requests_in_flight", "Requests under way.", ["account"], registry=registry
        )
        self._condition = Gauge(
            "qboxrelay_account_paused",
            "1 for the condition that keeps an account from sending, else 0.",
            ["account", "condition"],
            registry=registry,
        )
        self._maybe = Counter(
            "qboxrelay_maybe_duplicates",
            "Attempts on submissions that the API may have already: an earlier outcome was unknown.",
            ["account"],
            registry=registry,
        )
        self._late = Counter(
            "qboxrelay_record_retries",
            "Outcomes that the spool could not record at once.",
            ["account"],
            registry=registry,
        )
        self._retries = Counter(
            "qboxrelay_attempt_retries",
            "Attempts on submissions that were tried before.",
            ["account"],
            registry=registry,
        )
        self._waits = series.Histogram(
            "qboxrelay_submission_wait_seconds",
            "Time that sent submissions spent in the spool, until the request began that sent them.",
            registry,
            buckets=_WAITS,
            label="account",
        )
        self._pauses = Counter(
            "qboxrelay_account_pauses",
            "Times that a condition began to keep an account from sending.",
            ["account", "condition"],
            registry=registry,
        )
        self._info = Gauge(
            "qboxrelay_account_info",
            "Always 1; what kind of Delivery account it is.",
            ["account", "type"],
            registry=registry,
        )
        self._suppressions = Counter(
            "qboxrelay_suppression_summaries",
            "Accepted submissions whose answer held a suppression pre-check, by its status (checked, ignored, other).",
            ["account", "status"],
            registry=registry,
        )

    def account(self, account: str, kind: str, conditions: Iterable[str]) -> None:
        """An account that is there: its series begin at 0, so that an alert on an increase sees the first one."""
        self._info.labels(account, kind).set(1)
        self._silent.known(account)
        for counter in (self._bytes, self._maybe, self._late, self._retries):
            counter.labels(account)
        self._in_flight.labels(account)
        for outcome in _OUTCOMES:
            self._outcomes.labels(account, outcome)
        for state in _ENDS:
            self._finished.labels(account, state)
        for condition in conditions:
            self._condition.labels(account, condition)
            self._pauses.labels(account, condition)

    def suppression(self, account: str, status: str, count: int) -> None:
        self._suppressions.labels(account, status).inc(count)

    def started(self, account: str, messages: int, size: int, *, maybe_duplicates: int, retries: int) -> None:
        self._in_flight.labels(account).inc()
        self._messages.labels(account).observe(messages)
        self._bytes.labels(account).inc(size)
        self._maybe.labels(account).inc(maybe_duplicates)
        self._retries.labels(account).inc(retries)

    def stopped(self, account: str) -> None:
        self._in_flight.labels(account).dec()

    def ended(self, ended: Ended) -> None:
        ids = exemplar(ended.request_id, ended.transaction_id)
        self._requests.labels(ended.account, ended.status).inc(exemplar=ids)
        self._seconds.labels(ended.account).observe(ended.seconds, exemplar=ids)
        self._window.add(ended)

    def settled(self, account: str, outcome: str, count: int, *, request_id: str | None, transaction_id: str) -> None:
        """`transaction_id` is that of one of them."""
        self._outcomes.labels(account, outcome).inc(count, exemplar=exemplar(request_id, transaction_id))
        if outcome == "accepted":
            self._silent.happened(account)

    def finished(self, account: str, state: str, count: int, *, request_id: str | None, transaction_id: str) -> None:
        self._finished.labels(account, state).inc(count, exemplar=exemplar(request_id, transaction_id))

    def waited(self, account: str, seconds: Iterable[float]) -> None:
        self._waits.of(account).observe_all(seconds)

    def condition(self, account: str, condition: str, *, holds: bool, began: bool) -> None:
        self._condition.labels(account, condition).set(holds)
        if began:
            self._pauses.labels(account, condition).inc()

    def record_failed(self, account: str) -> None:
        self._late.labels(account).inc()


class NoticeMetrics:
    """What people were told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._told = Counter(
            "qboxrelay_notices",
            "Notices by kind (failure, delay, digest): queued; or why nobody is told (notice, null_sender, never, address).",
            ["kind", "outcome"],
            registry=registry,
        )

    def told(self, kind: str, outcome: str, count: int = 1) -> None:
        self._told.labels(kind, outcome).inc(count)
