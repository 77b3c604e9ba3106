"""Mail that PostgreSQL did not take waits in a file of this machine, and goes there in order and once."""

import asyncio
import contextlib
import dataclasses
import random
import sqlite3
from contextlib import closing

import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.submission import Submission
from qboxrelay.settings.schema import SpoolSettings
from qboxrelay.spool.fallback.local import Local, path_in
from qboxrelay.spool.fallback.spool import FallbackSpool
from qboxrelay.spool.port import SpoolFull, SpoolUnreachable
from tests.contract.spool.harness import START, claim, mail, names, scenario
from tests.contract.spool.way import HASTY, Way, until, until_it_works
from tests.support.postgres import shared_connection
from tests.support.schemas import line_up_all

IMPOSSIBLE = 2**40
"""A priority that a file takes, and the server does not."""


async def direct(spool: FallbackSpool) -> None:
    await until(lambda: not spool.diverted)


@pytest.mark.parametrize("trouble", ["swallow", "refuse"])
@scenario
async def test_away_and_back(way: Way, trouble: str) -> None:
    """Mail is taken all the time; nothing goes to the server before what waits; each is there once."""
    async with way.open_with_fallback(HASTY) as spool:
        await spool.put([mail("before")])
        await direct(spool)
        getattr(way.proxy, trouble)()

        await asyncio.gather(*(spool.put([mail(f"away{n}")]) for n in range(5)))
        assert spool.diverted
        for n in range(5, 10):
            await spool.put([mail(f"away{n}")])
        await spool.check_writable()
        assert spool.local.messages == 10
        assert way.stored() == ["before-1"]

        way.proxy.heal()
        await direct(spool)
        await spool.put([mail("after")])

        assert spool.local.messages == spool.local.bytes == 0
        stored = way.stored()
        assert stored[0] == "before-1"
        assert stored[-1] == "after-1"
        assert stored[6:11] == [f"away{n}-1" for n in range(5, 10)]
        assert len(stored) == way.counted() == len(set(stored)) == 12


@scenario
async def test_nobody_knows_whether_it_came_through(way: Way) -> None:
    """Commits of which no answer comes: the mail is in both places, and in the end in the server once."""
    async with way.open_with_fallback(HASTY) as spool:
        payload = b'{"subject":"in both"}'
        way.proxy.cut(payload, passes=True, times=1_000_000)

        await spool.put([mail("both", payload=payload)])
        assert spool.local.messages == 1
        assert way.stored() == ["both-1"]
        way.proxy.heal()
        await direct(spool)

        assert spool.local.messages == 0
        assert way.stored() == ["both-1"]
        assert way.counted() == 1


@scenario
async def test_start_without_the_server(way: Way) -> None:
    """Mail is taken, what needs the server says so, waits end when it is there, and mail of an earlier start goes first."""
    way.proxy.refuse()
    async with way.open_with_fallback(HASTY) as spool:
        await spool.put([mail("first")])
    way.proxy.refuse()
    async with way.open_with_fallback(HASTY) as spool:
        assert spool.diverted
        await spool.put([mail("second")])
        await spool.check_writable()
        with pytest.raises(SpoolUnreachable, match="not reached since the start"):
            await spool.depth()
        waiting = asyncio.create_task(spool.wait_for_work("default"))

        way.proxy.heal()
        await direct(spool)

        async with asyncio.timeout(120):
            await waiting
        assert names(await claim(spool)) == ["first", "second"]


@scenario
async def test_left_from_an_earlier_start(way: Way) -> None:
    """The server is there, but what waits goes first."""
    way.proxy.refuse()
    async with way.open_with_fallback(HASTY) as spool:
        await spool.put([mail("old")])
        way.proxy.refuse()
        with contextlib.suppress(SpoolUnreachable):
            await spool.depth()
    async with way.open_with_fallback(HASTY) as spool:
        await spool.put([mail("new")])
        await direct(spool)

        assert way.stored() == ["old-1", "new-1"]


@scenario
async def test_limits_hold(way: Way) -> None:
    """A full file refuses as a full spool does, and so does the server's own limit."""
    settings = SpoolSettings(commit_timeout="2s", max_messages=3)
    async with way.open_with_fallback(settings) as spool:
        way.proxy.refuse()
        await spool.put([mail("one"), mail("two")])
        with pytest.raises(SpoolFull, match="max_messages"):
            await spool.put([mail("three"), mail("four")])
        await spool.put([mail("five")])

        way.proxy.heal()
        await direct(spool)

        assert way.stored() == ["one-1", "two-1", "five-1"]
        with pytest.raises(SpoolFull, match="max_messages"):
            await spool.put([mail("six")])
        assert not spool.diverted


@scenario
async def test_a_full_server_is_waited_for(way: Way) -> None:
    """What does not fit into the server yet stays in the file, until there is room."""
    async with way.open(HASTY, "other") as other:
        await until_it_works(lambda: other.put([mail("one"), mail("two")]))
    way.proxy.refuse()
    settings = SpoolSettings(commit_timeout="2s", max_messages=2)
    async with way.open_with_fallback(settings) as spool:
        await spool.put([mail("a"), mail("b")])
        way.proxy.heal()
        await until(lambda: "max_messages" in spool.diverted)
        assert spool.local.messages == 2

        _sent(way)
        await direct(spool)

        assert way.stored() == ["one-1", "two-1", "a-1", "b-1"]


def _sent(way: Way) -> None:
    """Other nodes sent what waited."""
    for statement in (
        "UPDATE {}.states SET state = 'sent', finished_at = 1",
        "UPDATE {}.depth SET messages = 0, bytes = 0",
    ):
        shared_connection().execute(statement.format(way.schema).encode())


@scenario
async def test_one_that_the_server_refuses(way: Way) -> None:
    """It stays in the file, its neighbours go, and so does what comes after it; so does one whose content is gone."""
    async with way.open_with_fallback(HASTY) as spool:
        way.proxy.refuse()
        odd = dataclasses.replace(mail("odd"), priority=IMPOSSIBLE)
        for one in (mail("one"), odd, mail("two"), mail("empty"), mail("three")):
            await spool.put([one])
        _empty(way, "empty-1")

        way.proxy.heal()
        await direct(spool)
        await spool.put([mail("after")])

        assert way.stored() == ["one-1", "two-1", "three-1", "after-1"]
        assert [one.submission.id for one in await spool.local.first(0)] == ["odd-1", "empty-1"]


def _empty(way: Way, id_: str) -> None:
    line_up_all(path_in(way.folder))
    with closing(sqlite3.connect(path_in(way.folder))) as connection:
        connection.execute("DELETE FROM payloads WHERE key = (SELECT key FROM submissions WHERE id = ?)", (id_,))
        connection.commit()


@pytest.mark.parametrize("seed", range(3))
@scenario
async def test_order_whenever_it_breaks(way: Way, seed: int) -> None:
    """The mail of each client is in the server in the order in which it was taken, and once, however often the way breaks."""
    chance = random.Random(seed)
    async with way.open_with_fallback(HASTY) as spool:

        async def client(name: str) -> None:
            for n in range(40):
                await spool.put([mail(f"{name}{n:02}", client=name)])
                await asyncio.sleep(chance.uniform(0, 0.05))

        async def fate() -> None:
            while True:
                chance.choice([way.proxy.reset, way.proxy.refuse])()
                await diverted_or_later(spool, chance)
                way.proxy.heal()
                await asyncio.sleep(chance.uniform(0, 0.5))

        breaking = asyncio.create_task(fate())
        await asyncio.gather(*(client(name) for name in "abc"))
        breaking.cancel()
        await asyncio.wait([breaking])
        way.proxy.heal()
        await direct(spool)

        stored = way.stored()
        assert len(stored) == way.counted() == 120
        for name in "abc":
            assert [one for one in stored if one.startswith(name)] == [f"{name}{n:02}-1" for n in range(40)]


async def diverted_or_later(spool: FallbackSpool, chance: random.Random) -> None:
    with contextlib.suppress(TimeoutError):
        await until(lambda: spool.diverted, seconds=chance.uniform(0, 4))


@scenario
async def test_nothing_of_a_mail_is_lost_in_the_file(way: Way) -> None:
    """What comes out of the file is what went in."""
    settings = SpoolSettings(keep_raw="always")
    whole = Submission(
        id="t-1", transaction_id="t", account="a", client_key="ip:192.0.2.1", priority=7, payload=b"{}", received_at=START,
        envelope_sender="a@example.com", recipients=("b@example.net", "ü@example.net"), notify_never=True, is_notice=True, dsn='{"ENVID":"x"}',
        from_address="f@example.com", subject="Häppy", message_id_header="<1@x>", client_address="192.0.2.1", client_helo="h", client_user="u",
        listener="l", sender_rule="r", domain_state="ready", raw=b"raw", traceparent="00-1-2-01",
    )  # fmt: skip
    unset = [field.name for field in dataclasses.fields(whole) if not getattr(whole, field.name)]
    assert unset == []
    local = await Local.open(path_in(way.folder), settings=settings, clock=SystemClock())
    try:
        await local.put([whole])

        assert [one.submission for one in await local.first(0)] == [whole]
    finally:
        await local.close()


@scenario
async def test_what_an_operator_deleted_stays_deleted(way: Way) -> None:
    """The relay died between the two commits of a move, and an operator deleted the mail before the next one."""
    async with way.open(HASTY) as spool:
        await until_it_works(lambda: spool.put([mail("gone")]))
        delete = "DELETE FROM {0}.submissions; DELETE FROM {0}.states; DELETE FROM {0}.payloads"
        act = "INSERT INTO {0}.acts (at, act, by, submission, id, account, before) VALUES (1, 'delete', 'x', 1, 'gone-1', 'default', 'queued')"
        for statement in (*delete.split(";"), act):
            shared_connection().execute(statement.format(way.schema).encode())

        await until_it_works(lambda: spool.put_again([mail("gone"), mail("other")]))

        assert way.stored() == ["other-1"]
