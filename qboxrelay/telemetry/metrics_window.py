"""The latest requests, each as series of its own: a query by request_id finds it.

In: requests as they end. Out: at most `size` times three series; the oldest leave. Never: a series for every request ever made.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qboxrelay.telemetry.exemplar import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One request that ended. `key` is the spool's number of it, which is unique; `request_id` is the API's word, None without an answer."""

    key: int
    account: str
    status: str
    request_id: str | None
    transaction_id: str
    """Of its first submission."""
    messages: int
    seconds: float


class RequestWindow(Collector):
    """Remembers the latest `size` requests; 0 remembers none."""

    def __init__(self, size: int) -> None:
        self._latest: deque[Ended] = deque(maxlen=size)

    def add(self, ended: Ended) -> None:
        self._latest.append(ended)

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "qboxrelay_send_request_info",
            "Always 1; one of the latest requests. request is the relay's number of it, transaction_id that of its first mail.",
            labels=["request", "request_id", "account", "status", "transaction_id"],
        )
        labels = ["request", "request_id"]
        messages = GaugeMetricFamily(
            "qboxrelay_send_request_info_messages", "Submissions in one of the latest requests.", labels=labels
        )
        seconds = GaugeMetricFamily(
            "qboxrelay_send_request_info_seconds", "Time of one of the latest requests.", labels=labels
        )
        for one in list(self._latest):
            ids = [str(one.key), printable(one.request_id or "")]
            info.add_metric([*ids, one.account, one.status, one.transaction_id], 1)
            messages.add_metric(ids, one.messages)
            seconds.add_metric(ids, one.seconds)
        yield from (info, messages, seconds)
