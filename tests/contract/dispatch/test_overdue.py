"""An API that is down for longer than mail may wait: everything ends visibly and soon, and nothing ends that should not."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.dispatch.notice import Author
from qboxrelay.dispatch.notices import Notices
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.submission import State, Submission
from qboxrelay.settings.schema import NoticeSettings
from qboxrelay.spool.port import Spool
from qboxrelay.telemetry.metrics_dispatch import NoticeMetrics
from tests.contract.dispatch.harness import account, dispatching, mails, opened, quick, scenario, until
from tests.support.scripted_api import ScriptedApi, Step

NOBODY_LISTENS = "http://127.0.0.1:1/v1"
MANY = 3000


def aged(submissions: list[Submission], age: timedelta) -> list[Submission]:
    return [replace(one, received_at=one.received_at - age) for one in submissions]


def down(**changes: Any) -> Any:
    """A breaker that opens at once and lets a probe through now and then."""
    return quick(breaker_failures=1, breaker_pause="50ms", retry_schedule=["2s"], **changes)


async def in_state(spool: Spool, state: State, count: int) -> bool:
    return (await spool.depth()).messages[state] >= count


@scenario
async def test_a_huge_queue_expires_while_the_breaker_is_open(tmp_path: Path) -> None:
    """Thousands that are too old fail by their age without a request each; those that are not wait, and leave when the API is back."""
    with capture_logs() as logs:
        async with ScriptedApi() as api, opened(tmp_path) as spool:
            await spool.put(aged(mails(*[f"old{number}" for number in range(MANY)]), timedelta(days=3)))
            await spool.put(aged(mails("young"), -timedelta(hours=1)))
            settings = down(max_age="1s")
            async with dispatching(spool, account(NOBODY_LISTENS), settings=settings) as relay:
                await until(lambda: in_state(spool, State.FAILED, MANY))
                requests = relay.metric("qboxrelay_send_requests_total", status="connect")
                # What is recorded is counted a moment later.
                await until(lambda: relay.happened("qboxrelay_submissions_finished_total", MANY, state="failed"))
                assert relay.metric("qboxrelay_submissions_finished_total", state="failed") == MANY
                records = await spool.latest(state=State.FAILED, limit=MANY)
            async with dispatching(spool, account(api.base_url)) as relay:
                await relay.finished()
            assert (await spool.depth()).messages[State.SENT] == 1
    assert {record.reason for record in records} == {"expired"}
    assert all((record.text or "").startswith("given up after 1s: ") for record in records)
    assert requests < MANY / 2  # a probe each 50 ms: the slower the machine, the more
    assert api.accepted == {"young": 1}
    assert sum(line["count"] for line in logs if line["event"] == "mail.overdue") >= MANY - requests


@scenario
async def test_senders_hear_of_it(tmp_path: Path) -> None:
    """Each sender is told of every mail, in so many notices as are allowed, when the API is back."""
    async with ScriptedApi() as api, opened(tmp_path) as spool:
        author = Author(
            settings=NoticeSettings(to="sender", from_address="postmaster@example.com", max_per_hour=2),
            hostname="relay.example",
            account="default",
            max_age=timedelta(seconds=1),
        )

        def notices() -> Notices:
            metrics = NoticeMetrics(CollectorRegistry())
            return Notices(spool=spool, author=author, clock=SystemClock(), metrics=metrics, gather=timedelta())

        await spool.put(aged(mails(*[f"old{number}" for number in range(50)]), timedelta(days=3)))
        settings = down(max_age="1s")
        async with dispatching(spool, account(NOBODY_LISTENS), settings=settings, notices=notices()):
            await until(lambda: in_state(spool, State.FAILED, 50))
        async with dispatching(spool, account(api.base_url), notices=notices()) as relay:

            async def told() -> bool:
                """Everything was told, or as much as may be told in an hour."""
                since = SystemClock().now() - timedelta(hours=1)
                stored = await spool.notices_since("ann@example.com", since, limit=2)
                return len(stored) == 2 or not await spool.addressees()

            await until(told)
            await relay.finished()
        untold = await spool.untold("ann@example.com", limit=100)

    assert 1 <= api.accepted.total() <= 2
    assert len(untold) < 50


@scenario
async def test_a_refused_token_expires_nothing(tmp_path: Path) -> None:
    """What waits for the configuration waits for as long as it takes: a rotated key bounces no day of mail."""
    async with ScriptedApi(*[Step(status=401)] * 1000) as api, opened(tmp_path) as spool:
        await spool.put(aged(mails(*[f"m{number}" for number in range(20)]), timedelta(days=3)))
        async with dispatching(spool, account(api.base_url), settings=down(max_age="100ms")) as relay:
            await until(lambda: relay.requests(api, 15))
            assert await in_state(spool, State.QUEUED, 19)
            api.recover()
            await relay.finished()
        assert (await spool.depth()).messages[State.SENT] == 20


@scenario
async def test_a_short_trouble_expires_nothing(tmp_path: Path) -> None:
    """Mail that is old by the clock, because the clock was set or the machine slept, has not had its chance yet."""
    async with ScriptedApi(*[Step(status=503)] * 10) as api, opened(tmp_path) as spool:
        await spool.put(aged(mails(*[f"m{number}" for number in range(20)]), timedelta(days=3)))
        async with dispatching(spool, account(api.base_url), settings=down()) as relay:
            await relay.finished()
        assert (await spool.depth()).messages[State.SENT] == 20
