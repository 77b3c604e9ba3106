"""A real dispatcher over a real spool, against an API that follows a script.

In: settings and steps. Out: what became of each mail, and what the API accepted. Never: a patch; time is only made short.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import orjson
from prometheus_client import CollectorRegistry

from qboxrelay.dispatch.dispatcher import Dispatcher
from qboxrelay.dispatch.notices import Notices
from qboxrelay.model.clock import Clock, SystemClock
from qboxrelay.model.ids import new_id, submission_id
from qboxrelay.model.submission import State, Submission
from qboxrelay.qboxmail.token import FixedToken, TokenSource
from qboxrelay.settings.schema import AccountSettings, DeliverySettings, SpoolSettings
from qboxrelay.settings.types import Secret
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.spool.port import Record, Spool
from qboxrelay.spool.shared import Shared
from qboxrelay.spool.sqlite import SqliteSpool
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics
from tests.support.scripted_api import ScriptedApi

P = ParamSpec("P")
TOKEN = "test-token-that-must-not-show"
CERTIFICATE = Path(__file__).parents[1] / "sandbox" / "localhost.pem"
FINAL = {State.SENT, State.FAILED, State.HELD}
_PATIENCE = 60.0


def scenario(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def quick(**changes: Any) -> DeliverySettings:
    """Settings with short waits, so that a test of retries takes milliseconds."""
    short: dict[str, Any] = {
        "retry_schedule": ["5ms"],
        "request_deadline": "2s",
        "connect_timeout": "2s",
        "account_pause": "20ms",
        "quota_pause": "20ms",
        "rate_pause": "10ms",
        "breaker_pause": "20ms",
        "lease": "60s",
    }
    return DeliverySettings.model_validate(short | changes)


def account(base_url: str, **changes: Any) -> AccountSettings:
    """An account without a rate. It trusts one certificate, because reading all of the machine's takes a tenth of a second."""
    quickly = {"base_url": base_url, "requests_per_second": 1000.0, "ca_file": CERTIFICATE}
    return AccountSettings.model_validate(quickly | changes)


def mails(*subjects: str, account: str = "default", client: str = "app") -> list[Submission]:
    """One submission a subject, each to a recipient of its own."""
    made = []
    for subject in subjects:
        recipient = f"{subject}@example.net"
        transaction = new_id(SystemClock().now())
        made.append(
            Submission(
                id=submission_id(transaction, 1),
                transaction_id=transaction,
                account=account,
                client_key=client,
                payload=orjson.dumps(
                    {"from": "ann@example.com", "to": [recipient], "subject": subject, "text_body": "x"}
                ),
                received_at=SystemClock().now(),
                envelope_sender="ann@example.com",
                recipients=(recipient,),
                subject=subject,
            )
        )
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """What is running."""

    spool: Spool
    dispatcher: Dispatcher
    registry: CollectorRegistry

    async def records(self) -> dict[str, Record]:
        """Every submission's record, by the local part of its recipient."""
        found = await self.spool.latest(limit=10_000)
        return {record.recipients[0].partition("@")[0]: record for record in found}

    async def finished(self) -> dict[str, Record]:
        """Wait until nothing is queued or under way."""

        async def done() -> bool:
            return not await self.waiting()

        await until(done)
        return await self.records()

    async def emptied(self, patience: float = 300.0, interval: float = 0.05) -> None:
        """Wait until nothing is queued or under way, however much it is."""
        async with asyncio.timeout(patience):
            while await self.waiting():  # noqa: ASYNC110 - what it waits for is in another process's hands
                await asyncio.sleep(interval)

    async def waiting(self) -> int:
        """How many are queued or under way."""
        depth = await self.spool.depth()
        return sum(count for state, count in depth.messages.items() if state not in FINAL)

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"account": "default", **labels}) or 0.0

    async def happened(self, name: str, value: float, **labels: str) -> bool:
        """Whether a series has reached a value; for `until`."""
        return self.metric(name, **labels) >= value

    async def requests(self, api: ScriptedApi, count: int) -> bool:
        """Whether the API has got so many requests; for `until`."""
        return len(api.requests) >= count


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Poll; a test's patience, never a measurement."""
    async with asyncio.timeout(_PATIENCE):
        while not await condition():  # noqa: ASYNC110 - what it waits for is in another process's hands
            await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None, expired_into: State = State.QUEUED) -> AsyncIterator[Spool]:
    spool = await SqliteSpool.open(
        path / "spool.db", settings=SpoolSettings(), clock=clock or SystemClock(), expired_into=expired_into
    )
    try:
        yield spool
    finally:
        await spool.close()


def made(
    spool: Spool,
    *accounts: AccountSettings,
    settings: DeliverySettings | None = None,
    token: TokenSource | None = None,
    clock: Clock | None = None,
    confirmations: Confirmations | None = None,
    notices: Notices | None = None,
    shared: Shared | None = None,
) -> Relay:
    """A dispatcher that does not run yet."""
    registry = CollectorRegistry()
    source = token or FixedToken(Secret(TOKEN))
    dispatcher = Dispatcher(
        spool=spool,
        accounts=accounts,
        tokens={account.name: source for account in accounts},
        settings=settings or quick(),
        clock=clock or SystemClock(),
        rng=random.Random(1),
        metrics=DispatchMetrics(registry),
        confirmations=confirmations,
        notices=notices,
        shared=shared,
    )
    return Relay(spool=spool, dispatcher=dispatcher, registry=registry)


@asynccontextmanager
async def dispatching(spool: Spool, *accounts: AccountSettings, **parts: Any) -> AsyncIterator[Relay]:
    """Run a dispatcher, made of the parts that `made` takes, while the block lasts; then drain it."""
    relay = made(spool, *accounts, **parts)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(relay.dispatcher.run())
        try:
            yield relay
        finally:
            await relay.dispatcher.drain(timedelta(seconds=10))
            await running


def states(records: dict[str, Record], subjects: Sequence[str]) -> list[str]:
    return [records[subject].state.value for subject in subjects]
