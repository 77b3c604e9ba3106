"""All lanes: one for each account, started and drained together.

In: accounts with their tokens. Out: mail that leaves. Never: one account's trouble in another's way.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from qboxrelay.dispatch.agreement import Agreement, Member
from qboxrelay.dispatch.gate import Gate
from qboxrelay.dispatch.lane import Lane
from qboxrelay.dispatch.notices import Notices
from qboxrelay.dispatch.rate import RateLimit, shared_rates
from qboxrelay.dispatch.record import Recorder
from qboxrelay.dispatch.report import Reporter
from qboxrelay.dispatch.request import Requests
from qboxrelay.dispatch.settle import Settler
from qboxrelay.dispatch.size import BatchSize
from qboxrelay.dispatch.turns import Turns
from qboxrelay.model.clock import Clock
from qboxrelay.qboxmail.send import SendClient, prepare
from qboxrelay.qboxmail.tls import client_context
from qboxrelay.qboxmail.token import TokenSource, TokenUnreadable, TokenWatch, digest_of
from qboxrelay.settings.schema import AccountSettings, DeliverySettings
from qboxrelay.spool.confirmations import Confirmations
from qboxrelay.spool.port import Spool
from qboxrelay.spool.shared import Shared
from qboxrelay.telemetry.metrics_dispatch import DispatchMetrics
from qboxrelay.telemetry.tracing import OFF, Tracing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Part:
    """What sends for one account."""

    account: AccountSettings
    client: SendClient
    gate: Gate
    rate: RateLimit
    lane: Lane
    token: Callable[[], bytes]
    """Its digest."""


class Dispatcher:
    """Sends the spool's mail. `run` returns after `drain`. Making one raises OSError for a TLS file that cannot be used."""

    def __init__(
        self,
        *,
        spool: Spool,
        accounts: Sequence[AccountSettings],
        tokens: Mapping[str, TokenSource],
        settings: DeliverySettings,
        clock: Clock,
        rng: random.Random,
        metrics: DispatchMetrics,
        confirmations: Confirmations | None = None,
        notices: Notices | None = None,
        tracing: Tracing = OFF,
        shared: Shared | None = None,
    ) -> None:
        """`shared`: what relays on the same spool agree on, where there may be others."""
        self._spool = spool
        self._shared = None if shared is None or shared.alone else shared
        self._settings = settings
        self._clock = clock
        self._confirmations = confirmations or Confirmations()
        self._notices = notices
        self._reporter = Reporter(metrics, tracing)
        self._recorder = Recorder(spool=spool, reporter=self._reporter, clock=clock)
        self._settler = Settler(settings, rng)
        self._agreement = None if self._shared is None else self._agree(self._shared)
        self._parts: dict[str, _Part] = {}
        self._group: asyncio.TaskGroup | None = None
        self._running: asyncio.Task[None] | None = None
        self.adopt(self.prepare(accounts, tokens))

    async def run(self) -> None:
        """Run every lane until they are drained."""
        self._running = asyncio.create_task(self._run_lanes(), name="lanes")
        try:
            await asyncio.wait({self._running})
        finally:
            self._running.cancel()
            await asyncio.wait({self._running})
            for part in self._parts.values():
                await part.client.close()
        if not self._running.cancelled():
            self._running.result()

    def prepare(self, accounts: Sequence[AccountSettings], tokens: Mapping[str, TokenSource]) -> list[_Part]:
        """Parts for those accounts that are new, or whose settings are others now. Raises OSError for a TLS file that cannot be used."""
        known = {name: part.account for name, part in self._parts.items()}
        rates = _rates(accounts, tokens)
        changed = [account for account in accounts if known.get(account.name) != account]
        return [self._part(account, tokens[account.name], rates[account.name]) for account in changed]

    def adopt(self, parts: Sequence[_Part]) -> None:
        """Send through these from now on. A lane that is replaced finishes its requests; one that is not stays."""
        for part in parts:
            before = self._parts.get(part.account.name)
            self._parts[part.account.name] = part
            if before is not None:
                before.lane.stop()
            self._announce(part)
            if self._group is not None:
                self._group.create_task(_drive(part), name=f"lane-{part.account.name}")

    async def drain(self, grace: timedelta) -> None:
        """Take no more mail, finish requests under way; what is still unanswered after `grace` is cut off and ends unknown."""
        for part in self._parts.values():
            part.lane.stop()
        for beside in (self._notices, self._agreement):
            if beside is not None:
                beside.stop()
        if self._running is None:
            return
        _, late = await asyncio.wait({self._running}, timeout=grace.total_seconds())
        if late:
            log.warning("drain.cut_off", hint="requests without an answer end unknown at the next start")
            self._running.cancel()
            await asyncio.wait({self._running})

    def busy_seconds(self) -> float:
        """How long the slowest lane's step under way has taken; long is stuck."""
        return max((part.lane.busy_seconds() for part in self._parts.values()), default=0.0)

    def status(self) -> dict[str, object]:
        """Each account's condition, for /readyz and the status page."""
        shown: dict[str, object] = {}
        for name, part in self._parts.items():
            status = part.lane.status()
            shown[name] = {
                "type": part.account.type,
                "condition": status.condition.value,
                "reason": status.reason,
                "for_seconds": round(status.lasted_seconds),
                "next_try_in_seconds": round(status.wait_seconds, 1),
            }
        return shown

    def _part(self, account: AccountSettings, token: TokenSource, rate: RateLimit) -> _Part:
        client, gate = self._client(account, token), self._gate()
        before = self._parts.get(account.name)
        # Two lanes of one token keep one rate while the first of them finishes.
        same = before is not None and before.account.requests_per_second == account.requests_per_second
        rate = before.rate if before is not None and same else rate
        lane = self._lane(account, token, client, gate, rate)
        return _Part(account, client, gate, rate, lane, lambda: digest_of(token))

    def _gate(self) -> Gate:
        now = self._clock.monotonic()
        return Gate(self._settings, now) if self._agreement is None else Gate(self._settings, now, self._agreement.news)

    def _agree(self, shared: Shared) -> Agreement:
        return Agreement(
            shared=shared,
            members=self._members,
            reporter=self._reporter,
            clock=self._clock,
            request_deadline=self._settings.request_deadline,
        )

    def _members(self) -> list[Member]:
        return [Member(part.account.name, part.gate, part.token, part.lane.wake) for part in self._parts.values()]

    def _turns(self, account: str, token: TokenSource, rate: RateLimit) -> Turns | None:
        if self._shared is None or self._agreement is None:
            return None
        return Turns(
            shared=self._shared,
            account=account,
            token=lambda: digest_of(token),
            rate=rate,
            monotonic=self._clock.monotonic,
            heed=self._agreement.heed,
        )

    def _client(self, account: AccountSettings, token: TokenSource) -> SendClient:
        tls = client_context(
            ca_file=account.ca_file,
            certificate_file=account.client_certificate_file,
            certificate_key_file=account.client_key_file,
        )
        return SendClient(
            base_url=account.base_url,
            token=token,
            deadline=self._settings.request_deadline,
            connect_timeout=self._settings.connect_timeout,
            max_connections=account.max_requests_in_flight,
            monotonic=self._clock.monotonic,
            tls=tls,
            proxy=account.proxy or None,
        )

    def _lane(
        self, account: AccountSettings, token: TokenSource, client: SendClient, gate: Gate, rate: RateLimit
    ) -> Lane:
        size = BatchSize(account)
        requests = Requests(
            client=client,
            recorder=self._recorder,
            reporter=self._reporter,
            settler=self._settler,
            gate=gate,
            size=size,
            rate=rate,
            lease=self._settings.lease,
            clock=self._clock,
            confirmations=self._confirmations,
            notices=self._notices,
            told=None if self._agreement is None else self._agreement.told,
        )
        return Lane(
            account=account,
            settings=self._settings,
            spool=self._spool,
            requests=requests,
            recorder=self._recorder,
            gate=gate,
            size=size,
            rate=rate,
            clock=self._clock,
            token_changed=TokenWatch(token).changed,
            turns=self._turns(account.name, token, rate),
            may_probe=None if self._agreement is None else self._agreement.may_probe,
        )

    def _announce(self, part: _Part) -> None:
        self._reporter.account(part.account.name, part.account.type)
        self._reporter.condition(part.account.name, part.gate.status(self._clock.monotonic()))

    async def _run_lanes(self) -> None:
        await prepare()
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name, part in self._parts.items():
                group.create_task(_drive(part), name=f"lane-{name}")
            if self._notices is not None:
                group.create_task(self._notices.run(), name="notices")
            if self._agreement is not None:
                group.create_task(self._agreement.run(), name="agreement")


async def _drive(part: _Part) -> None:
    await part.lane.run()
    await part.client.close()


def _rates(accounts: Sequence[AccountSettings], tokens: Mapping[str, TokenSource]) -> dict[str, RateLimit]:
    """The rate of each account. Whose token cannot be read shares it with nobody."""
    wanted: dict[str, tuple[Hashable, float]] = {}
    for account in accounts:
        token: Hashable = account.name
        with contextlib.suppress(TokenUnreadable):
            token = tokens[account.name].current()
        wanted[account.name] = (token, account.requests_per_second)
    return shared_rates(wanted)
