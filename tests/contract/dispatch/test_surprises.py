"""Bugs of our own: what is said of a request never changes what became of its mail, and nobody waits for what will not be said."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.dispatch.gate import Gate
from qboxrelay.dispatch.rate import RateLimit
from qboxrelay.dispatch.record import Recorder
from qboxrelay.dispatch.report import Reporter
from qboxrelay.dispatch.request import Requests
from qboxrelay.dispatch.settle import Settler
from qboxrelay.dispatch.size import BatchSize
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.submission import Batch, State
from qboxrelay.qboxmail.answer import Answer
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.spool.port import Spool
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics
from tests.contract.dispatch.harness import account, mails, opened, quick, scenario
from tests.support.scripted_api import documented


class Broken(Reporter):
    """Every word of it is a bug."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name == "record_failed":
            return super().__getattribute__(name)
        raise RuntimeError("bug")


class Accepting:
    """An API that takes everything."""

    def __init__(self) -> None:
        self.posts = 0

    async def post(self, _payloads: object) -> Answer:
        self.posts += 1
        return Answer(status=202, headers={}, body=documented(202, [{"subject": "a", "to": ["a@example.net"]}]))


class Unwritable:
    """A recorder that nothing can be recorded with, for a reason nobody foresaw."""

    async def record(self, *_: object) -> None:
        raise RuntimeError("bug")


def requests(
    spool: Spool, api: Accepting, *, recorder: object = None, confirmations: Confirmations | None = None
) -> Requests:
    clock, settings, used = SystemClock(), quick(), account("http://api.invalid/v1")
    reporter = Broken(DispatchMetrics(CollectorRegistry()))
    return Requests(
        client=api,
        recorder=cast("Recorder", recorder or Recorder(spool=spool, reporter=reporter, clock=clock)),
        reporter=reporter,
        settler=Settler(settings, random.Random(1)),
        gate=Gate(settings, clock.monotonic()),
        size=BatchSize(used),
        rate=RateLimit(used.requests_per_second),
        lease=settings.lease,
        clock=clock,
        confirmations=confirmations or Confirmations(),
    )


async def claimed(spool: Spool) -> Batch:
    batch = await spool.claim("default", max_messages=10, max_bytes=10_000, lease=timedelta(minutes=1))
    assert batch is not None
    return batch


@scenario
async def test_accepted_mail_is_sent_whatever_is_said_of_it(tmp_path: Path) -> None:
    """Figures, log lines and traces that fail are logged; the mail is recorded as sent, with its id, and never sent again."""
    api = Accepting()
    with capture_logs() as logs:
        async with opened(tmp_path) as spool:
            await spool.put(mails("a"))
            assert await requests(spool, api).send(await claimed(spool)) == []
            (record,) = await spool.latest()
            assert await spool.claim("default", max_messages=10, max_bytes=10_000, lease=timedelta(minutes=1)) is None

    assert (record.state, record.message_id, api.posts) == (State.SENT, "a@id", 1)
    assert {line["event"] for line in logs} == {"report.crashed"}


@scenario
async def test_nobody_waits_for_what_cannot_be_recorded(tmp_path: Path) -> None:
    """A session in confirm mode goes on without a verdict: its mail is in the spool."""
    confirmations = Confirmations()
    async with opened(tmp_path) as spool:
        await spool.put(mails("a"))
        batch = await claimed(spool)
        ids = [submission.id for submission in batch.submissions]
        confirmations.expect(ids)
        assert confirmations.will_tell(ids[0]), "held to its word even when its time runs out"
        await requests(spool, Accepting(), recorder=Unwritable(), confirmations=confirmations).send(batch)

        assert await confirmations.wait(ids, timedelta(seconds=30)) is None
