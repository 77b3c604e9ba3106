"""Operators and dispatchers at the same submissions at the same time: whoever comes first counts, and the other one sees it."""

import asyncio
import random
from collections import Counter

from qboxrelay.model.submission import State
from qboxrelay.spool.port import Spool
from qboxrelay.spool.queue import Act, Queue
from tests.contract.spool.harness import (
    ACCEPTED,
    ACCOUNT,
    LEASE,
    Spools,
    counts,
    failed,
    held,
    mail,
    scenario,
    sent,
)

IDS = [f"{number:03}-1" for number in range(120)]
ACTS = 60


class Dispatching:
    """Claims and records until it is told to end. `claimed` is in order, `sent` counts."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._rng = random.Random(1)
        self.claimed: list[str] = []
        self.sent: Counter[str] = Counter()

    async def run(self, end: asyncio.Event) -> None:
        while not end.is_set():
            batch = await self._spool.claim(ACCOUNT, max_messages=7, max_bytes=1_000_000, lease=LEASE)
            if batch is None:
                await self._spool.follow()
                continue
            self.claimed += [one.id for one in batch.submissions]
            # Operators come in between.
            await asyncio.sleep(0.001)
            chosen = [(one, self._rng.choice((sent, failed, held))) for one in batch.submissions]
            self.sent.update(one.id for one, result in chosen if result is sent)
            await self._spool.record(batch, ACCEPTED, [result(one) for one, result in chosen])


async def meddle(queue: Queue, claimed: list[str]) -> dict[str, int]:
    """Do anything with any of them; what was deleted, and how much had been claimed by then."""
    rng, deleted = random.Random(2), dict[str, int]()
    for _ in range(ACTS):
        act = rng.choice([Act.HOLD, Act.RELEASE, Act.RETRY, Act.RETRY, Act.DELETE])
        for one in await queue.act(act, rng.sample(IDS, 2 if act is Act.DELETE else 20), by="ann"):
            assert one.before is not State.SENDING or "being sent" in one.refused
            if act is Act.DELETE and not one.refused:
                deleted[one.id] = len(claimed)
    return deleted


@scenario
async def test_nothing_is_lost_or_sent_twice_between_them(spools: Spools) -> None:
    """What was deleted is never claimed again, what was sent is not sent again, and every figure is right in the end."""
    async with spools.open() as spool:
        await spool.put([mail(id_.removesuffix("-1")) for id_ in IDS])
        dispatching, end = Dispatching(spool), asyncio.Event()
        running = asyncio.create_task(dispatching.run(end))
        deleted = await meddle(spools.queue(), dispatching.claimed)
        await spools.queue().act(Act.RETRY, IDS, by="ann")
        end.set()
        await running
        assert deleted
        assert [id_ for id_, position in deleted.items() if id_ in dispatching.claimed[position:]] == []
        assert max(dispatching.sent.values()) == 1
        left = {record.id: record.state for record in await spool.latest(limit=10_000)}
        assert left.keys() == set(IDS) - deleted.keys()
        assert {id_ for id_, state in left.items() if state is State.SENT} == dispatching.sent.keys() - deleted.keys()
        await spool.follow()
        assert await counts(spool) == spools.counted()
