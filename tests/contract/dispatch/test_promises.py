"""What holds whatever fails: nothing forgotten, nothing sent twice that is known to be sent, one account's trouble stays its own."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from structlog.testing import capture_logs

from qboxrelay.model.submission import Batch, State
from qboxrelay.spool.port import RequestResult, Result, Spool, SpoolError
from qboxrelay.spool.shared import Alone
from tests.contract.dispatch.harness import account, dispatching, made, mails, opened, quick, scenario, states, until
from tests.support.scripted_api import ScriptedApi, Step


class Faulty:
    """A real spool of which single calls fail, in order, before they do anything."""

    def __init__(self, spool: Spool, **errors: Sequence[Exception]) -> None:
        self._spool = spool
        self._errors = {name: list(listed) for name, listed in errors.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    async def claim(self, *arguments: Any, **named: Any) -> Batch | None:
        self._fail("claim")
        return await self._spool.claim(*arguments, **named)

    async def record(self, batch: Batch, request: RequestResult, results: Sequence[Result]) -> None:
        self._fail("record")
        await self._spool.record(batch, request, results)

    def _fail(self, name: str) -> None:
        if self._errors.get(name):
            raise self._errors[name].pop(0)


@scenario
async def test_answer_outlives_a_spool_that_cannot_record(tmp_path: Path) -> None:
    """A known outcome is kept in memory until the spool takes it: even with its lease run out, the mail is not sent again."""
    settings = quick(request_deadline="10s", lease="1500ms")
    async with ScriptedApi() as api, opened(tmp_path) as spool:
        faulty = cast("Spool", Faulty(spool, record=[SpoolError("disk full"), SpoolError("disk full")]))
        both = account(api.base_url), account(api.base_url, name="other")
        async with dispatching(faulty, *both, settings=settings) as relay:
            await spool.put(mails("a"))
            await until(lambda: relay.happened("qboxrelay_record_retries_total", 1))
            await asyncio.sleep(1.6)  # the lease is over; the third try to record is still to come
            await spool.put(mails("b", account="other"))
            records = await relay.finished()
    assert states(records, ["a", "b"]) == ["sent", "sent"]
    assert api.accepted == {"a": 1, "b": 1}


@scenario
async def test_halves_do_not_outlive_their_lease(tmp_path: Path) -> None:
    """Halves of a refused request that must wait longer than their lease go back as they were; nobody calls them unknown."""
    settings = quick(request_deadline="1500ms", lease="2s")
    steps = [Step(status=400), Step(status=429, headers={"Retry-After": "3"})]
    subjects = ["a", "b", "c", "d"]
    async with ScriptedApi(*steps) as api, opened(tmp_path) as spool:
        await spool.put(mails(*subjects))
        used = account(api.base_url, max_requests_in_flight=1), account(api.base_url, name="other")
        async with dispatching(spool, *used, settings=settings) as relay:
            await asyncio.sleep(2.2)
            await spool.put(mails("e", account="other"))
            records = await relay.finished()
    assert states(records, subjects) == ["sent"] * 4
    assert api.accepted == dict.fromkeys([*subjects, "e"], 1)
    assert relay.metric("qboxrelay_maybe_duplicates_total") == 0


class Late(Faulty):
    """Its first lease is heard of when most of it is over: a slow server, or a process that was stopped meanwhile."""

    def __init__(self, spool: Spool, seconds: float) -> None:
        super().__init__(spool)
        self._seconds = seconds

    async def claim(self, *arguments: Any, **named: Any) -> Batch | None:
        batch = await super().claim(*arguments, **named)
        if batch is not None:
            seconds, self._seconds = self._seconds, 0.0
            await asyncio.sleep(seconds)
        return batch


class Others(Alone):
    """There may be other relays, who take over what ran out."""

    alone = False


@scenario
async def test_a_lease_that_is_heard_of_late_is_not_used(tmp_path: Path) -> None:
    """A request begun then would outlive it, and another relay send the mail, too: it goes back, and is claimed anew."""
    async with ScriptedApi() as api, opened(tmp_path) as spool:
        await spool.put(mails("a"))
        late = cast("Spool", Late(spool, 1.5))
        settings = quick(request_deadline="1s", lease="2s")
        async with dispatching(late, account(api.base_url), settings=settings, shared=Others()) as relay:
            records = await relay.finished()
    assert api.accepted == {"a": 1}
    assert records["a"].attempts == 2
    assert relay.metric("qboxrelay_maybe_duplicates_total") == 0


@scenario
async def test_stop_finishes_what_is_under_way(tmp_path: Path) -> None:
    """A drain records the answer of the request in flight and takes no more from the spool."""
    async with ScriptedApi(Step(accept=True, seconds=1.0)) as api, opened(tmp_path) as spool:
        used = account(api.base_url, max_requests_in_flight=1)
        async with dispatching(spool, used) as relay:
            await spool.put(mails("under way"))
            await until(lambda: relay.requests(api, 1))
            await spool.put(mails("waits"))
        records = await relay.records()
    assert states(records, ["under way", "waits"]) == ["sent", "queued"]
    assert api.accepted == {"under way": 1}


@scenario
async def test_stop_in_the_middle_of_a_bisection(tmp_path: Path) -> None:
    """Halves that a stop leaves unsent are back in the queue, not leased to nobody."""
    async with ScriptedApi(Step(status=400, seconds=1.0)) as api, opened(tmp_path) as spool:
        await spool.put(mails("a", "b"))
        async with dispatching(spool, account(api.base_url)) as relay:
            await until(lambda: relay.requests(api, 1))
        records = await relay.records()
    assert states(records, ["a", "b"]) == ["queued", "queued"]


@scenario
async def test_surprises_end_no_lane(tmp_path: Path) -> None:
    """An exception nobody foresaw, while claiming or while recording, is temporary: the mail goes out in the end."""
    with capture_logs() as logs:
        async with ScriptedApi() as api, opened(tmp_path) as spool:
            broken = Faulty(spool, claim=[RuntimeError("bug")], record=[RuntimeError("bug")])
            async with dispatching(cast("Spool", broken), account(api.base_url)) as relay:
                await spool.put(mails("a"))
                records = await relay.finished()
    assert states(records, ["a"]) == ["sent"]
    assert Counter(line["event"] for line in logs if "crashed" in line["event"]) == {
        "lane.crashed": 1,
        "attempt.crashed": 1,
    }


@scenario
async def test_account_in_trouble_is_alone_with_it(tmp_path: Path) -> None:
    """One account's token is refused: its mail waits and it alone is shown as paused; the other account's mail leaves."""
    async with ScriptedApi(*[Step(status=401)] * 1000) as closed, ScriptedApi() as api, opened(tmp_path) as spool:
        used = account(closed.base_url), account(api.base_url, name="other")
        async with dispatching(spool, *used) as relay:
            await spool.put([*mails("a", "b"), *mails("c", account="other")])
            await until(lambda: relay.happened("qboxrelay_account_paused", 1, condition="configuration"))

            async def sent() -> bool:
                return (await relay.records())["c"].state is State.SENT

            await until(sent)
            status = relay.dispatcher.status()
            assert await relay.waiting() == 2
    assert [cast("dict[str, str]", status[name])["condition"] for name in ("default", "other")] == [
        "configuration",
        "running",
    ]


@scenario
async def test_breaker_opens_and_closes(tmp_path: Path) -> None:
    """Failures in a row open the breaker: one mail at a time finds out, and when the API is back, requests grow from there."""
    subjects = [f"m{number}" for number in range(20)]
    steps = [Step(status=503)] * 8
    async with ScriptedApi(*steps) as api, opened(tmp_path) as spool:
        await spool.put(mails(*subjects))
        used = account(api.base_url, max_requests_in_flight=1)
        async with dispatching(spool, used, settings=quick(breaker_failures=3)) as relay:
            await until(lambda: relay.happened("qboxrelay_account_paused", 1, condition="trouble"))
            records = await relay.finished()
    sizes = [len(request.subjects) for request in api.requests]
    assert sizes[3:9] == [1] * 6
    assert all(later <= 2 * earlier for earlier, later in pairwise(sizes[8:]))
    assert api.accepted == dict.fromkeys(subjects, 1)
    assert states(records, subjects) == ["sent"] * 20


@scenario
async def test_one_closing_line_for_each(tmp_path: Path) -> None:
    """Each submission has exactly one closing line, with the ids that lead from the 250 reply to the API."""
    with capture_logs() as logs:
        async with (
            ScriptedApi(Step(status=503)) as api,
            opened(tmp_path) as spool,
            dispatching(spool, account(api.base_url)) as relay,
        ):
            await spool.put(mails("a", "b"))
            records = await relay.finished()
    lines = [line for line in logs if line["event"] == "submission.sent"]
    assert sorted(line["submission"] for line in lines) == sorted(record.id for record in records.values())
    for line in lines:
        assert line["submission"] == f"{line['transaction']}-1"
        assert (line["attempt"], line["status"], line["request_id"]) == (2, 202, "r-1")
        assert line["message_id"] == f"{line['subject']}@id"
        assert all(float(delay) >= 0 for delay in line["delays"].split("/"))
        assert len(line["delays"].split("/")) == 4


@scenario
async def test_stop_does_not_wait_for_an_answer_without_end(tmp_path: Path) -> None:
    """A drain cuts off what has no answer within its grace; the next start finds it, and its outcome is unknown."""
    async with ScriptedApi(Step(ending="hangs")) as api:
        async with opened(tmp_path) as spool:
            await spool.put(mails("a"))
            settings = quick(request_deadline="20s")
            async with dispatching(spool, account(api.base_url), settings=settings) as relay:
                await until(lambda: relay.requests(api, 1))
                await relay.dispatcher.drain(timedelta(milliseconds=20))
        async with opened(tmp_path) as spool, dispatching(spool, account(api.base_url)) as relay:
            records = await relay.finished()
    assert states(records, ["a"]) == ["sent"]
    assert relay.metric("qboxrelay_maybe_duplicates_total") == 1


@scenario
async def test_stop_before_the_start(tmp_path: Path) -> None:
    """A dispatcher that was drained before it ran sends nothing and returns."""
    async with ScriptedApi() as api, opened(tmp_path) as spool:
        await spool.put(mails("a"))
        relay = made(spool, account(api.base_url))
        await relay.dispatcher.drain(timedelta())
        await relay.dispatcher.run()
        assert await relay.waiting() == 1
    assert not api.requests


@scenario
async def test_recording_that_only_surprises(tmp_path: Path) -> None:
    """An exception nobody foresaw each time something is recorded: the lane lives on, and the lease's end frees the mail."""
    settings = quick(request_deadline="10s", lease="2s")
    with capture_logs() as logs:
        async with ScriptedApi() as api, opened(tmp_path) as spool:
            broken = Faulty(spool, record=[RuntimeError("bug"), RuntimeError("bug")])
            async with dispatching(cast("Spool", broken), account(api.base_url), settings=settings) as relay:
                await spool.put(mails("a"))
                records = await relay.finished()
    assert states(records, ["a"]) == ["sent"]
    assert api.accepted == {"a": 2}
    assert "record.crashed" in {line["event"] for line in logs}


@scenario
async def test_recording_is_tried_until_it_works(tmp_path: Path) -> None:
    """A spool that fails more than once is asked again each second."""
    async with ScriptedApi() as api, opened(tmp_path) as spool:
        faulty = Faulty(spool, record=[SpoolError("full"), SpoolError("full")], claim=[SpoolError("full")])
        async with dispatching(cast("Spool", faulty), account(api.base_url)) as relay:
            await spool.put(mails("a"))
            records = await relay.finished()
    assert states(records, ["a"]) == ["sent"]
    assert api.accepted == {"a": 1}
