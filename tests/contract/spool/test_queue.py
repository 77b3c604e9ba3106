"""What operators do and see, beside a spool that is open: nothing is lost, nothing under way is touched, and the relay notices."""

import asyncio
from datetime import timedelta

import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.submission import NoticeKind, State
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.port import RequestResult, Result, Spool, SpoolError, SpoolFull
from qboxrelay.spool.queue import AT_ONCE, Act, Done, Selection
from qboxrelay.upkeep import Upkeep
from tests.contract.spool.harness import (
    ACCEPTED,
    ACCOUNT,
    START,
    Spools,
    claim,
    counts,
    failed,
    held,
    mail,
    names,
    retry,
    scenario,
    sent,
    taken,
)

MINUTE = timedelta(minutes=1)


async def one_of_each(spool: Spool) -> None:
    """`sent-1`, `failed-1`, `held-1`, `waits-1` (due in a minute), `sending-1`, `queued-1`."""
    await spool.put([mail(name) for name in ("sent", "failed", "held", "waits")])
    batch = await taken(spool)
    first, second, third, fourth = batch.submissions
    later = START + MINUTE
    await spool.record(batch, ACCEPTED, [sent(first), failed(second), held(third), retry(fourth, later)])
    await spool.put([mail("sending")])
    await taken(spool)
    await spool.put([mail("queued")])


EVERY = ["sent-1", "failed-1", "held-1", "waits-1", "sending-1", "queued-1"]


@pytest.mark.parametrize(
    ("act", "moved"),
    [
        (Act.RETRY, {"failed-1", "waits-1", "queued-1"}),
        (Act.RELEASE, {"held-1"}),
        (Act.HOLD, {"waits-1", "queued-1"}),
        (Act.DELETE, {"sent-1", "failed-1", "held-1", "waits-1", "queued-1"}),
    ],
)
@scenario
async def test_an_act_moves_what_it_may_and_says_why_not(spools: Spools, act: Act, moved: set[str]) -> None:
    """What is under way is never touched; the figures stay right, in the running spool, too."""
    async with spools.open() as spool:
        await one_of_each(spool)
        done = await spools.queue().act(act, [*EVERY, "unheard-of-1"], by="ann")
        assert [one.id for one in done] == [*EVERY, "unheard-of-1"]
        assert {one.id for one in done if not one.refused} == moved
        assert "no such" in done[-1].refused
        assert "being sent" in done[4].refused
        assert {one.id for one in await spool.follow()} == moved
        assert await spool.follow() == []
        assert await counts(spool) == spools.counted()
        kept = {record.id for record in await spool.latest()}
        assert kept == set(EVERY) - (moved if act is Act.DELETE else set())


@scenario
async def test_a_retried_failure_is_sent_like_new(spools: Spools) -> None:
    """Due at once, its schedule from the beginning, and whoever was to be told of its failure is not."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        (one,) = batch.submissions
        lost = Result(
            key=one.key, state=State.FAILED, outcome="refused", notice=NoticeKind.FAILURE, tell="robot@example.com"
        )
        await spool.record(batch, RequestResult(status=400), [lost])
        assert await spool.addressees() == ["robot@example.com"]
        story = await spools.queue().story("a-1")
        assert story is not None
        assert (story.notice, story.tell) == ("failure", "robot@example.com")
        assert await spools.queue().act(Act.RETRY, ["a-1"], by="ann") == [Done(id="a-1", before=State.FAILED)]
        assert await spool.addressees() == []
        (again,) = await claim(spool)
        assert (again.id, again.attempt, again.failures, again.payload) == ("a-1", 2, 0, one.payload)


@scenario
async def test_a_failure_without_content_is_not_retried(spools: Spools) -> None:
    """Its content was pruned: sending nothing in its place would be worse than saying so. So with what is held."""
    async with spools.open(settings=SpoolSettings(keep_failed_payloads=timedelta(hours=1))) as spool:
        await one_of_each(spool)
        spools.clock.advance(timedelta(hours=2))
        while await spool.prune():
            pass
        spools.drop_content("held-1")
        (retried,) = await spools.queue().act(Act.RETRY, ["failed-1"], by="ann")
        (released,) = await spools.queue().act(Act.RELEASE, ["held-1"], by="ann")
        assert "keep_failed_payloads" in retried.refused
        assert "no longer kept" in released.refused
        assert await spool.follow() == []


@scenario
async def test_released_mail_wakes_who_waits_for_work(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a")])
        batch = await taken(spool)
        await spool.record(batch, ACCEPTED, [held(batch.submissions[0])])
        assert await claim(spool) == []
        waiting = asyncio.create_task(spool.wait_for_work(ACCOUNT))
        await spools.queue().act(Act.RELEASE, ["a-1"], by="ann")
        await spool.follow()
        async with asyncio.timeout(30):
            await waiting
        assert names(await claim(spool)) == ["a"]


@scenario
async def test_held_mail_is_not_claimed_and_survives(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b")])
        await spools.queue().act(Act.HOLD, ["a-1"], by="ann")
        assert names(await claim(spool)) == ["b"]
    async with spools.open() as spool:
        assert [record.id for record in await spool.latest(state=State.HELD)] == ["a-1"]
        assert await counts(spool) == spools.counted()


@scenario
async def test_deleting_makes_room(spools: Spools) -> None:
    """The limits follow what another process deleted."""
    async with spools.open(settings=SpoolSettings(max_messages=1)) as spool:
        await spool.put([mail("a")])
        with pytest.raises(SpoolFull):
            await spool.put([mail("b")])
        await spools.queue().act(Act.DELETE, ["a-1"], by="ann")
        await spool.follow()
        await spool.put([mail("c")])
        assert spools.counted() == await counts(spool) == {State.QUEUED: (1, 15)}


@scenario
async def test_the_key_of_deleted_mail_is_not_given_again(spools: Spools) -> None:
    """Somebody may still mean the deleted one by it."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        (before,) = await spool.latest()
        await spools.queue().act(Act.DELETE, ["a-1"], by="ann")
        await spool.put([mail("b")])
        (after,) = await spool.latest()
        assert after.key > before.key


@scenario
async def test_overdue_counts_from_the_retry(spools: Spools) -> None:
    """Mail that an operator asked for again is not given up for its old age before it was tried."""
    async with spools.open() as spool:
        await one_of_each(spool)
        spools.clock.advance(timedelta(days=3))
        await spools.queue().act(Act.RETRY, ["failed-1"], by="ann")
        old = await spool.claim_overdue(
            ACCOUNT, received_before=START + MINUTE, max_messages=10, max_bytes=1000, lease=MINUTE
        )
        assert old is not None
        assert names(old.submissions) == ["waits", "queued"]


@scenario
async def test_acts_are_written_down(spools: Spools) -> None:
    """Who did what, also when the submission is gone; until the trail is."""
    async with spools.open(settings=SpoolSettings(keep_trail=timedelta(days=1))) as spool:
        await spool.put([mail("a")])
        queue = spools.queue()
        for act in (Act.HOLD, Act.RELEASE, Act.DELETE):
            await queue.act(act, ["a-1"], by=f"{act}r")
        expected = [("hold", "holdr", "queued"), ("release", "releaser", "held"), ("delete", "deleter", "queued")]
        assert [(one.what, one.by, one.before) for one in await queue.handled("a")] == expected
        assert await queue.handled("a-1") == await queue.handled("a")
        assert await queue.handled("b") == []
        spools.clock.advance(timedelta(days=2))
        while await spool.prune():
            pass
        assert await queue.handled("a") == []


@scenario
async def test_what_was_done_without_a_relay_is_told_by_the_next(spools: Spools) -> None:
    """And only once by relays that come back for more."""
    queue = spools.queue()
    async with spools.open() as spool:
        await spool.put([mail("a")])
        await queue.act(Act.HOLD, ["a-1"], by="ann")
        assert [one.what for one in await spool.follow()] == ["hold"]
        assert await spool.follow() == []
    await queue.act(Act.RELEASE, ["a-1"], by="bob")
    async with spools.open() as spool:
        assert [(one.what, one.by) for one in await spool.follow()] == [("release", "bob")]
    # It was closed before it came back: told of twice rather than never.
    async with spools.open() as spool:
        assert [one.what for one in await spool.follow()] == ["release"]
        assert await spool.follow() == []
    async with spools.open() as spool:
        assert await spool.follow() == []


@scenario
async def test_a_relay_that_told_of_it_and_is_stopped_then_has_noted_it(spools: Spools) -> None:
    """On an idle relay nothing else may happen between the two for a long time."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        await spools.queue().act(Act.HOLD, ["a-1"], by="ann")
        told = asyncio.Event()

        async def up_to_date() -> None:
            told.set()

        following = asyncio.create_task(Upkeep(spool=spool, clock=SystemClock()).follow(up_to_date))
        async with asyncio.timeout(30):
            await told.wait()
        following.cancel()
        await asyncio.wait({following})
    async with spools.open() as spool:
        assert await spool.follow() == []


@scenario
async def test_too_many_at_once_are_refused(spools: Spools) -> None:
    """A session waits for the commit."""
    async with spools.open():
        with pytest.raises(SpoolError, match="at most"):
            await spools.queue().act(Act.HOLD, [str(number) for number in range(AT_ONCE + 1)], by="ann")


@pytest.mark.parametrize("account", [ACCOUNT, ""])
@scenario
async def test_a_paused_account_sends_nothing_until_it_is_resumed(spools: Spools, account: str) -> None:
    """One, or all; also after a restart; nothing is due meanwhile, so that nobody spins."""
    queue = spools.queue()
    async with spools.open() as spool:
        await spool.put([mail("a"), mail("b", account="other")])
        assert await queue.pause(account, by="ann", why="maintenance")
        assert not await queue.pause(account, by="bob", why="again")
        assert [one.what for one in await spool.follow()] == ["pause"]
        assert await claim(spool) == []
        assert await spool.next_due_at(ACCOUNT) is None
        assert len(await claim(spool, account="other")) == (1 if account else 0)
    async with spools.open() as spool:
        assert await claim(spool) == []
        old = spool.claim_overdue(ACCOUNT, received_before=START + MINUTE, max_messages=1, max_bytes=100, lease=MINUTE)
        assert await old is None
        (pause,) = (await queue.overview()).pauses
        assert await spool.pauses() == [pause]
        assert (pause.account, pause.by, pause.why, pause.at) == (account, "ann", "maintenance", START)
        waiting = asyncio.create_task(spool.wait_for_work(ACCOUNT))
        await asyncio.sleep(0)
        assert await queue.resume(account, by="ann")
        assert not await queue.resume(account, by="ann")
        await spool.follow()
        async with asyncio.timeout(30):
            await waiting
        assert names(await claim(spool)) == ["a"]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(), EVERY),
        (Selection(states=frozenset({State.HELD, State.FAILED})), ["failed-1", "held-1"]),
        (Selection(account="other"), []),
        (Selection(account=ACCOUNT, domain="EXAMPLE.net", states=frozenset({State.SENT})), ["sent-1"]),
        (Selection(domain="example"), []),
        (Selection(address="Robot@example.com"), EVERY),
        (Selection(address="someone@example.com"), []),
        (Selection(client="192.0.2.1"), EVERY),
        (Selection(client="192.0.2.2"), []),
        (Selection(error="NO SUCH"), ["failed-1"]),
        (Selection(error="503"), ["waits-1"]),
        (Selection(received_before=START), []),
        (Selection(received_after=START - MINUTE, received_before=START + MINUTE), EVERY),
        (Selection(received_after=START), []),
    ],
)
@scenario
async def test_a_selection_narrows(spools: Spools, selection: Selection, found: list[str]) -> None:
    async with spools.open() as spool:
        await one_of_each(spool)
        page = await spools.queue().select(selection, limit=100)
        assert [record.id for record in page.records] == found[::-1]
        assert page.next is None


@pytest.mark.parametrize(("limit", "look"), [(1, 10_000), (3, 10_000), (1000, 500), (7, 500)])
@scenario
async def test_pages_show_everything_once_in_order(spools: Spools, limit: int, look: int) -> None:
    """However small the pages, or however little is looked at for each."""
    async with spools.open() as spool:
        await spool.put([mail(f"{number:04}") for number in range(1200 if limit > 3 else 20)])
        batch = await taken(spool, messages=600 if limit > 3 else 7)
        await spool.record(batch, ACCEPTED, [sent(one) for one in batch.submissions[::2]])
        found, before = [], None
        while True:
            page = await spools.queue().select(Selection(), before=before, limit=limit, look=look)
            assert len(page.records) <= limit
            found += [record.id for record in page.records]
            before = page.next
            if before is None:
                break
        assert found == [record.id for record in await spool.latest(limit=10_000)]


@scenario
async def test_a_story_tells_each_attempt(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a")])
        queue = spools.queue()
        first = await taken(spool)
        story = await queue.story("a-1")
        assert story is not None
        assert [(one.number, one.outcome, one.ended_at) for one in story.attempts] == [(1, None, None)]
        spools.clock.advance(timedelta(seconds=2))
        refused = RequestResult(status=503, request_id="r1", text="busy", connect_seconds=0.1, answer_seconds=0.2)
        await spool.record(first, refused, [retry(first.submissions[0], START + MINUTE)])
        await queue.act(Act.RETRY, ["a-1"], by="ann")
        second = await taken(spool)
        await spool.record(second, ACCEPTED, [sent(second.submissions[0])])
        story = await queue.story("a-1")
        assert story is not None
        one, two = story.attempts
        assert (one.outcome, one.reason, one.status, one.request_id) == ("deferred", "http_503", 503, "r1")
        assert (one.started_at, one.ended_at) == (START, START + timedelta(seconds=2))
        assert (one.connect_seconds, one.answer_seconds, one.messages, one.text) == (0.1, 0.2, 1, "busy")
        assert (two.number, two.outcome, two.request_id) == (2, "accepted", "request-1")
        assert (story.record.state, story.record.message_id, story.has_content) == (State.SENT, "a-1@api", False)
        assert (story.transaction_id, story.client_helo, story.subject, story.listener) == (
            "a", "printer", "Häppy", "default",
        )  # fmt: skip
        assert [one.what for one in story.handled] == ["retry"]
        assert await queue.story("a") is None


@scenario
async def test_a_story_tells_of_pauses_while_it_waited(spools: Spools) -> None:
    """Of its account and of all; neither of earlier ones nor of other accounts."""
    queue = spools.queue()
    async with spools.open() as spool:
        spools.clock.jump(-MINUTE)
        await queue.pause("", by="earlier", why="")
        await queue.resume("", by="earlier")
        spools.clock.jump(MINUTE)
        await spool.put([mail("a")])
        for account in ("", ACCOUNT, "other"):
            spools.clock.advance(timedelta(seconds=1))
            await queue.pause(account, by="ann", why="")
        story = await queue.story("a-1")
        assert story is not None
        assert [(one.what, one.account, one.by) for one in story.handled] == [
            ("pause", "", "ann"), ("pause", ACCOUNT, "ann"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["a", "a-1", "r1", "request-1", "a-1@api", "<1@example.com>", "1@example.com", "SOMEONE@example.net"],
)
@scenario
async def test_any_id_leads_to_the_submission(spools: Spools, text: str) -> None:
    """Also the `request_id` of an attempt that was not the last one."""
    async with spools.open() as spool:
        await spool.put([mail("a")])
        first = await taken(spool)
        await spool.record(first, RequestResult(request_id="r1"), [retry(first.submissions[0], START)])
        second = await taken(spool)
        await spool.record(second, ACCEPTED, [sent(second.submissions[0])])
        queue = spools.queue()
        assert [record.id for record in await queue.trace(text, limit=5)] == ["a-1"]
        assert [record.id for record in await queue.find(text)] == (["a-1"] if text in {"a", "a-1"} else [])
        assert await queue.trace("nothing", limit=5) == []


@scenario
async def test_content_is_there_until_it_is_sent(spools: Spools) -> None:
    async with spools.open() as spool:
        await spool.put([mail("a", payload=b'{"subject":"y"}')])
        content = await spools.queue().content("a-1")
        assert content is not None
        assert (content.payload, content.raw) == (b'{"subject":"y"}', None)
        batch = await taken(spool)
        await spool.record(batch, ACCEPTED, [sent(batch.submissions[0])])
        assert await spools.queue().content("a-1") is None
        assert await spools.queue().content("b-1") is None


@scenario
async def test_the_overview_counts_without_a_relay(spools: Spools) -> None:
    async with spools.open() as spool:
        await one_of_each(spool)
    overview = await spools.queue().overview()
    assert {total.state: total.messages for total in overview.totals} == {
        State.SENT: 1, State.FAILED: 1, State.HELD: 1, State.QUEUED: 2, State.SENDING: 1,
    }  # fmt: skip
    assert overview.oldest[State.HELD] == START
    assert overview.pauses == ()
