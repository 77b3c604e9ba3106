"""Single parts of a relay, made from its settings.

In: settings, a registry, a clock. Out: the spool and what others share of it, the notices. Never: a part that knows who uses it.
"""

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib.metadata import version

import structlog
from prometheus_client import CollectorRegistry

from qboxrelay.dispatch.notice import Author
from qboxrelay.dispatch.notices import Notices
from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import State
from qboxrelay.policy.accounts import AccountRules
from qboxrelay.policy.rewrite import parse_address
from qboxrelay.settings.schema import Settings
from qboxrelay.spool.backend import open_shared, open_spool
from qboxrelay.spool.fallback.spool import FallbackSpool
from qboxrelay.spool.port import Remote, Spool, SpoolError
from qboxrelay.spool.shared import Shared
from qboxrelay.status.work import WorkMeter
from qboxrelay.telemetry.metrics_dispatch import NoticeMetrics
from qboxrelay.telemetry.metrics_spool import FallbackCollector, FallbackFigures, SpoolMetrics

log = structlog.get_logger()

_SPOOL_GRACE = timedelta(seconds=10)
_HORIZON_MARGIN = 4
"""A stored time further off than this many times the longest wait was written by a clock that was wrong."""


async def spools_of(
    settings: Settings, *, registry: CollectorRegistry, counters: Callable[[], CollectorRegistry], clock: Clock
) -> tuple[Shared, Spool]:
    """First the name among others on the same spool: opening it takes back what a dead relay of that name had under way. `counters` returns what
    all processes of this relay count. Raises `SpoolError`.
    """
    work = WorkMeter(counters, clock.monotonic)
    shared = await open_shared(settings, version=version("qboxrelay"), clock=clock, work=work)
    try:
        return shared, await spool_of(settings, registry=registry, clock=clock, shared=shared)
    except BaseException:
        await shared.close()
        raise


async def close_spool(spool: Spool, shared: Shared, granted: Callable[[timedelta], timedelta]) -> None:
    """Finish what was begun; a server that keeps silent is not waited for any longer than is granted of a time."""

    async def close() -> None:
        await spool.close()
        # The last: from now on another relay may have this one's name.
        await shared.close()

    closing = asyncio.create_task(close(), name="spool-close")
    await asyncio.wait([closing], timeout=granted(_SPOOL_GRACE).total_seconds())
    if not closing.done():
        log.warning(
            "spool.cut_off",
            hint="the database does not answer: what was under way there is found out at the next start",
        )
        for one in (spool, shared):
            if isinstance(one, Remote):
                one.cut_off()
    await closing


async def trouble_of(spool: Spool) -> str | None:
    """Why nothing can be written to it; None when all is well."""
    try:
        await spool.check_writable()
    except SpoolError as error:
        return str(error)
    return None


def fallback_of(spool: Spool) -> dict[str, object]:
    """For /readyz and the pages; empty where there is no fallback."""
    if not isinstance(spool, FallbackSpool):
        return {}
    found = _fallback_figures(spool)
    shown = {"active": found.active, "messages": found.messages, "bytes": found.bytes, "reason": spool.diverted}
    return {"fallback": shown}


def _fallback_figures(spool: FallbackSpool) -> FallbackFigures:
    local = spool.local
    return FallbackFigures(active=bool(spool.diverted), messages=local.messages, bytes=local.bytes, moved=spool.moved)


async def spool_of(
    settings: Settings, *, registry: CollectorRegistry, clock: Clock, shared: Shared | None = None
) -> Spool:
    """Raises `SpoolError`."""
    limits = settings.spool
    metrics = SpoolMetrics(registry, max_messages=limits.max_messages, max_bytes=int(limits.max_bytes))
    longest = max(*settings.delivery.retry_schedule, settings.delivery.max_retry_after)
    spool = await open_spool(
        settings,
        clock=clock,
        expired_into=State.HELD if settings.delivery.unknown_outcome == "hold" else State.QUEUED,
        horizon=longest * _HORIZON_MARGIN,
        on_commit=metrics.committed,
        shared=shared,
    )
    if isinstance(spool, FallbackSpool):
        registry.register(FallbackCollector(partial(_fallback_figures, spool)))
    return spool


def notices_of(settings: Settings, *, spool: Spool, registry: CollectorRegistry, clock: Clock) -> Notices | None:
    """None when nobody is to be told."""
    if settings.notices.to == "off":
        return None
    accounts, sender = AccountRules(settings.accounts), parse_address(settings.notices.from_address)
    author = Author(
        settings=settings.notices,
        hostname=settings.relay.name or socket.gethostname(),
        account=accounts.choose(settings.notices.account or None, sender).name,
        max_age=settings.delivery.max_age,
    )
    return Notices(spool=spool, author=author, clock=clock, metrics=NoticeMetrics(registry))
