"""The last hour in memory, and the charts made of it."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from qboxrelay.status import history
from qboxrelay.status.chart import DURATIONS, HEIGHT, WIDTH, draw
from qboxrelay.status.history import EVERY, KEPT, History, Sample
from qboxrelay.status.words import count, span
from qboxrelay.telemetry.metrics_spool import Figures, Waiting
from tests.contract.spool.harness import ManualClock

MAILS = "qboxrelay_mails_accepted_total"
ANSWER = "qboxrelay_send_request_seconds"


class Recorded:
    """A history whose clock and metrics a test moves."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock, self.registry, self.waiting = clock or ManualClock(), CollectorRegistry(), 0
        self.mails = Counter("qboxrelay_mails_accepted", "x", registry=self.registry)
        self.attempts = Counter("qboxrelay_attempts", "x", ["account", "outcome"], registry=self.registry)
        self.seconds = Histogram(ANSWER, "x", ["account"], registry=self.registry, buckets=(0.1, 1, 10))
        self.history = History(registry=self.registry, refresh=self._refresh, figures=self._figures, clock=self.clock)

    def sample(self, times: int = 1) -> list[Sample]:
        for _ in range(times):
            asyncio.run(self.history.sample())
            self.clock.advance(EVERY)
        return self.history.samples()

    async def _refresh(self) -> None:
        self.waiting += 1

    def _figures(self) -> Figures:
        waiting = [Waiting(account=name, state="queued", messages=self.waiting, bytes=1) for name in ("a", "b")]
        return Figures(waiting=tuple(waiting))


def test_memory_is_bounded() -> None:
    """An hour and the window before it, whatever the time the relay runs."""
    recorded = Recorded()
    samples = recorded.sample(3 * (KEPT // EVERY))

    assert KEPT <= timedelta(seconds=samples[-1].at - samples[0].at) <= KEPT + timedelta(minutes=2)


def test_memory_is_bounded_however_often_somebody_looks() -> None:
    """Looks in between are replaced by what comes after them; the regular ones stay."""
    recorded = Recorded()
    for _ in range(int(KEPT.total_seconds())):
        asyncio.run(recorded.history.sample())
        recorded.clock.advance(timedelta(seconds=1))
    samples = recorded.history.samples()

    assert len(samples) <= KEPT / EVERY * 1.2 + 2
    assert all(later.at - earlier.at <= EVERY.total_seconds() for earlier, later in pairwise(samples))


def test_rates_are_of_the_minute_before() -> None:
    """A counter that stands still has a rate of nothing; accounts are added up, labels told apart."""
    recorded = Recorded()
    recorded.sample()
    recorded.mails.inc(6)
    recorded.attempts.labels("a", "deferred").inc(2)
    recorded.attempts.labels("b", "deferred").inc(1)
    recorded.attempts.labels("b", "unknown").inc(1)
    samples = recorded.sample(7)

    rates = history.per_minute(samples, MAILS)
    assert (rates[0], rates[-2], rates[-1]) == ((60, 36), (10, 6), (0, 0))
    assert history.increase(samples, MAILS) == 6
    assert history.increase(samples, "qboxrelay_attempts_total:deferred") == 3
    assert history.increase([], MAILS) == 0
    assert history.waiting(samples, "queued", "sending")[-1] == (0, 16)


def test_quantiles_are_those_of_prometheus() -> None:
    """Even within a bucket; of the last one its lower bound; None where nothing was observed."""
    recorded = Recorded()
    recorded.sample()
    for seconds in (0.5, 0.5, 0.5, 0.5):
        recorded.seconds.labels("a").observe(seconds)
    ((_, median),) = history.quantiles(recorded.sample(), ANSWER, 0.5)
    assert median == pytest.approx(0.55)
    recorded.seconds.labels("b").observe(100)
    assert history.quantiles(recorded.sample(), ANSWER, 1.0)[-1] == (0, 10)
    assert history.quantiles(recorded.sample(10), ANSWER, 0.5)[-1] == (0, None)
    assert history.quantiles(recorded.sample(), "unheard_of", 0.5)[-1] == (0, None)


class Enough(Exception):  # noqa: N818 - it stands for a cancellation
    """The clock stops the routine."""


class FiveTimes(ManualClock):
    async def sleep(self, delay: timedelta) -> None:
        self.advance(delay)
        if self.ticks >= 1000 + 5 * delay.total_seconds():
            raise Enough


def test_it_samples_at_regular_times() -> None:
    """At once, then every ten seconds."""
    recorded = Recorded(FiveTimes())
    with pytest.raises(Enough):
        asyncio.run(recorded.history.run())
    samples = recorded.history.samples()

    assert [one.at for one in samples] == [1000 + place * EVERY.total_seconds() for place in range(5)]


class Idle(Recorded):
    """The spool's figures stay as they are."""

    async def _refresh(self) -> None:
        """Nothing has come."""


class Steps(ManualClock):
    """Ends after some sleeps; before one of them a mail comes."""

    def __init__(self, recorded: Recorded | None = None) -> None:
        super().__init__()
        self.ticks = 1210.0
        self.recorded, self.steps = recorded, 0

    async def sleep(self, delay: timedelta) -> None:
        self.advance(delay)
        self.steps += 1
        if self.steps == 4 and self.recorded is not None:
            self.recorded.mails.inc()
        if self.steps == 6:
            raise Enough


def test_an_idle_relay_is_hardly_woken() -> None:
    """While nothing changes it samples once a minute, on the minute; as soon as something did, each ten seconds."""
    clock = Steps()
    clock.recorded = recorded = Idle(clock)
    with pytest.raises(Enough):
        asyncio.run(recorded.history.run())

    assert [one.at for one in recorded.history.samples()] == [1210, 1220, 1260, 1320, 1380, 1390]


def test_who_looks_sees_the_present() -> None:
    """A sample that is no longer fresh is followed by another; a fresh one is enough."""
    recorded = Idle()
    for delay in (0, 0, 9, 1, 60):
        recorded.clock.advance(timedelta(seconds=delay))
        asyncio.run(recorded.history.catch_up())

    assert [one.at for one in recorded.history.samples()] == [1000, 1010, 1070]


def test_rates_where_samples_are_few() -> None:
    """Mail that ends an hour of nothing is spread over the time since the sample a minute before, not over less."""
    at = [0, 60, 120, 180, 190, 200]
    samples = [Sample(at=1000.0 + second, counts={MAILS: 12.0 * (second > 120)}) for second in at]

    assert history.per_minute(samples, MAILS) == [(140, 0), (80, 0), (20, 12), (10, 12 * 60 / 70), (0, 12 * 60 / 80)]


def test_a_chart_begins_at_zero_and_ends_at_a_round_number() -> None:
    """The latest point stands at the right edge; what is older than the chart is left out."""
    chart = draw("Mail", "a minute", [("accepted", [(90, 99.0), (60, 0.0), (0, 37.0)])], seconds=60, show=count)

    assert chart.top == "50"
    assert chart.lines[0].path == f"M0.0 {HEIGHT}.0 L{WIDTH}.0 {HEIGHT * (1 - 37 / 50):.1f}"
    assert chart.summary == "Mail over the last hour. accepted: now 37, at most 37."


@pytest.mark.parametrize(
    ("highest", "top"), [(0.0, "1"), (0.3, "0.5"), (1, "1"), (1.2, "2"), (10, "10"), (51, "100"), (1234, "2\u202f000")]
)
def test_round_numbers(highest: float, top: str) -> None:
    assert draw("x", "", [("x", [(0, highest)])], seconds=60, show=count).top == top


@pytest.mark.parametrize(
    ("highest", "top"), [(0.3, "500 ms"), (29, "50 s"), (31, "60 s"), (115, "2 min"), (9e4, "2 d")]
)
def test_round_durations(highest: float, top: str) -> None:
    """What stands at the edge is what the edge means."""
    assert draw("x", "", [("x", [(0, highest)])], seconds=60, show=span, tops=DURATIONS).top == top


def test_gaps_and_nothing() -> None:
    """A line is broken where there is no value; a single point can be seen; without a point there is no line."""
    gap = draw("x", "", [("x", [(40, 1.0), (30, 1.0), (20, None), (10, 1.0)])], seconds=60, show=count).lines[0]
    none = draw("x", "", [("x", [])], seconds=60, show=count).lines[0]

    assert gap.path.count("M") == gap.path.count("L") == gap.area.count("Z") == 2
    assert gap.now == "1"
    assert (none.path, none.area, none.now, none.most) == ("", "", "none", "none")


def test_many_points_are_thinned() -> None:
    """Few enough for a page that is fetched each ten seconds; the latest stays."""
    points = [(float(ago), 1.0 if ago else 7.0) for ago in reversed(range(1000))]
    line = draw("x", "", [("x", points)], seconds=1000, show=count).lines[0]

    assert len(line.path.split()) < 2 * 181 + 3
    assert line.path.endswith(f"{WIDTH}.0 {HEIGHT * (1 - 7 / 10):.1f}")
