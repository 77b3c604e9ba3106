"""Gates that agree over a real server, and what becomes of news while it does not answer."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from qboxrelay.dispatch.agreement import Agreement, Member
from qboxrelay.dispatch.gate import Condition, Gate
from qboxrelay.dispatch.report import Reporter
from qboxrelay.qboxmail.answer import Effect
from qboxrelay.settings.schema import DeliverySettings
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.postgres.nodes import PostgresShared
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics
from tests.contract.nodes.harness import Schema
from tests.contract.spool.harness import ManualClock, scenario

PAUSE = DeliverySettings().quota_pause


@dataclass
class Side:
    """One node's agreement over one account."""

    shared: PostgresShared
    clock: ManualClock
    woken: int = 0
    gate: Gate = field(init=False)
    agreement: Agreement = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate(DeliverySettings(), self.clock.monotonic())
        self.agreement = Agreement(
            shared=self.shared,
            members=lambda: [Member("default", self.gate, lambda: b"digest", self.wake)],
            reporter=Reporter(DispatchMetrics(CollectorRegistry())),
            clock=self.clock,
            request_deadline=timedelta(seconds=60),
        )

    def wake(self) -> None:
        self.woken += 1

    def judge(self, effect: Effect) -> None:
        self.gate.judge(effect, self.clock.monotonic(), reason="words", retry_after=None)

    async def may_probe(self) -> bool:
        return await self.agreement.may_probe("default")


async def exchanged(*sides: Side) -> list[Condition]:
    for side in sides:
        await side.agreement.exchange()
    return [side.gate.condition for side in sides]


@scenario
async def test_pause_probe_and_recovery() -> None:
    """One tells, the other hears and wakes its lane; one of them probes; its success is heard, too."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as first, schema.node("two") as second:
        one, two = Side(first, clock), Side(second, clock)
        one.judge(Effect.QUOTA)
        assert await exchanged(one, two) == [Condition.QUOTA, Condition.QUOTA]
        assert (two.woken, one.gate.news) == (1, False)
        assert two.gate.wait(clock.monotonic()) == PAUSE.total_seconds()

        clock.advance(PAUSE)
        assert [await side.may_probe() for side in (two, one, two)] == [True, False, True]
        two.judge(Effect.NONE)
        assert await exchanged(two, one) == [Condition.RUNNING, Condition.RUNNING]
        assert one.woken == 1


@scenario
async def test_failed_probe_begins_the_pause_anew() -> None:
    """For all, and the next probe is anybody's."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as first, schema.node("two") as second:
        one, two = Side(first, clock), Side(second, clock)
        one.judge(Effect.QUOTA)
        await exchanged(one, two)
        clock.advance(PAUSE)
        assert await one.may_probe()
        one.judge(Effect.QUOTA)
        await exchanged(one, two)
        assert two.gate.wait(clock.monotonic()) == PAUSE.total_seconds()
        assert not await two.may_probe()
        clock.advance(PAUSE)
        assert [await side.may_probe() for side in (two, one)] == [True, False]


@scenario
async def test_news_are_kept_while_the_server_does_not_answer() -> None:
    """The gate goes by them, an outcome does not wait for them, and they are told later."""
    schema = Schema(clock := ManualClock())
    async with schema.node("two") as second:
        gone, two = Side(await schema.enter("one"), clock), Side(second, clock)
        gone.judge(Effect.QUOTA)
        await gone.shared._database.close()
        with pytest.raises(SpoolError):
            await gone.agreement.exchange()
        await gone.agreement.told()
        assert gone.gate.news
        assert await exchanged(two) == [Condition.RUNNING]

        await gone.shared.close()
        async with schema.node("one") as again:
            gone.agreement._shared = again
            await gone.agreement.told()
            assert await exchanged(two) == [Condition.QUOTA]


@scenario
async def test_version_that_a_turn_saw() -> None:
    """What could be known is known before a request starts; what is known already costs nothing."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as first, schema.node("two") as second:
        one, two = Side(first, clock), Side(second, clock)
        await two.agreement.heed("default", 0)
        one.judge(Effect.QUOTA)
        await exchanged(one)
        await two.agreement.heed("default", 1)
        assert two.gate.condition is Condition.QUOTA


@scenario
async def test_word_of_a_newer_version() -> None:
    """A condition that this version does not know keeps nobody from sending."""
    schema = Schema(clock := ManualClock())
    async with schema.node("one") as node:
        await node.tell("default", "eclipse", reason="words", token=b"digest", wait=PAUSE)
        assert await exchanged(Side(node, clock)) == [Condition.RUNNING]
