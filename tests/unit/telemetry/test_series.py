"""Series that are made at the scrape: the window of requests, ages, the lag of the event loop."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from qboxrelay.telemetry.metrics_age import Ages
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics
from qboxrelay.telemetry.metrics_loop import LoopLag
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics
from qboxrelay.telemetry.metrics_window import Ended


class SlowClock:
    """Every sleep takes 40 ms longer than asked; the third one never ends."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps = 0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, delay: timedelta) -> None:
        self.sleeps += 1
        if self.sleeps == 3:
            raise asyncio.CancelledError
        self.seconds += delay.total_seconds() + 0.04


class CountingClock(SlowClock):
    """Notes what it is asked for; the process has used `cpu` seconds, one value a look, and the clock ends with them."""

    def __init__(self, cpu: list[float]) -> None:
        super().__init__()
        self.delays: list[float] = []
        self._cpu = cpu

    def cpu_seconds(self) -> float:
        return self._cpu.pop(0)

    async def sleep(self, delay: timedelta) -> None:
        self.delays.append(delay.total_seconds())
        if not self._cpu:
            raise asyncio.CancelledError


def ended(key: int, request_id: str | None = "r") -> Ended:
    return Ended(
        key=key, account="a", status="202", request_id=request_id, transaction_id="T", messages=7, seconds=0.25
    )


def window(size: int, *requests: Ended) -> list[str]:
    """Lines of the window after these requests."""
    registry = CollectorRegistry()
    metrics = DispatchMetrics(registry, window=size)
    for one in requests:
        metrics.ended(one)
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if line.startswith("qboxrelay_send_request_info")]


def test_window_keeps_the_latest_requests() -> None:
    """Each with its ids, its messages and its seconds; the oldest leaves."""
    assert window(1, ended(1), ended(2, "r-2")) == [
        'qboxrelay_send_request_info{account="a",request="2",request_id="r-2",status="202",transaction_id="T"} 1.0',
        'qboxrelay_send_request_info_messages{request="2",request_id="r-2"} 7.0',
        'qboxrelay_send_request_info_seconds{request="2",request_id="r-2"} 0.25',
    ]


def test_window_of_none() -> None:
    """0 turns it off: no series, nothing remembered."""
    assert window(0, ended(1), ended(2)) == []


def test_window_tells_requests_without_an_id_apart() -> None:
    """A series twice would fail the scrape."""
    lines = window(5, ended(1, None), ended(2, None), ended(3), ended(4))
    names = [line.rpartition(" ")[0] for line in lines]

    assert len(names) == len(set(names)) == 12


def test_age_runs_from_the_start_until_something_happens() -> None:
    """Silence since the start is silence."""
    seconds = 100.0
    ages = Ages("age_seconds", "Age.", "account", lambda: seconds)
    registry = CollectorRegistry()
    registry.register(ages)
    ages.known("a")
    ages.known("b")
    seconds = 130.0
    ages.happened("b")
    ages.known("b")
    seconds = 135.0

    assert registry.get_sample_value("age_seconds", {"account": "a"}) == 35.0
    assert registry.get_sample_value("age_seconds", {"account": "b"}) == 5.0


def test_acceptance_ends_the_silence_of_an_account_and_refusal_does_not() -> None:
    seconds = 0.0
    registry = CollectorRegistry()
    metrics = DispatchMetrics(registry, monotonic=lambda: seconds)
    for account in "ab":
        metrics.account(account, "transactional", ["rate"])
    seconds = 60.0
    metrics.settled("a", "accepted", 1, request_id="r", transaction_id="T")
    metrics.settled("b", "refused", 1, request_id="r", transaction_id="T")
    name = "qboxrelay_send_last_accepted_age_seconds"

    assert registry.get_sample_value(name, {"account": "a"}) == 0.0
    assert registry.get_sample_value(name, {"account": "b"}) == 60.0


def test_session_is_timed_and_ends_the_silence_of_its_listener() -> None:
    seconds = 0.0
    registry = CollectorRegistry()
    metrics = SmtpMetrics(registry, lambda: seconds)
    metrics.listening("smtp")
    seconds = 10.0
    opened = metrics.opened("smtp")
    seconds = 13.0
    metrics.closed("smtp", opened)
    labels = {"listener": "smtp"}

    assert registry.get_sample_value("qboxrelay_smtp_session_seconds_sum", labels) == 3.0
    assert registry.get_sample_value("qboxrelay_smtp_last_session_age_seconds", labels) == 3.0
    assert registry.get_sample_value("qboxrelay_smtp_sessions_open", labels) == 0.0


def test_lag_is_what_the_loop_came_too_late() -> None:
    registry = CollectorRegistry()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(LoopLag(registry, SlowClock(), iter(range(100)).__next__).run())

    assert registry.get_sample_value("qboxrelay_event_loop_lag_seconds_count") == 2.0
    assert registry.get_sample_value("qboxrelay_event_loop_lag_seconds_sum") == pytest.approx(0.08)


def test_an_idle_loop_is_looked_at_less_and_less_often_and_a_busy_one_again_as_before() -> None:
    """In the end once a minute, on the minute, when others look as well."""
    clock = CountingClock([*[0.0] * 15, *[1.0] * 2])
    clock.seconds = 610.0
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(LoopLag(CollectorRegistry(), clock, clock.cpu_seconds).run())

    assert clock.delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 50.0, 0.5]


def test_pause_is_counted_when_it_begins() -> None:
    registry = CollectorRegistry()
    metrics = DispatchMetrics(registry)
    metrics.condition("a", "rate", holds=True, began=True)
    metrics.condition("a", "rate", holds=True, began=False)
    labels = {"account": "a", "condition": "rate"}

    assert registry.get_sample_value("qboxrelay_account_pauses_total", labels) == 1.0
    assert registry.get_sample_value("qboxrelay_account_paused", labels) == 1.0
