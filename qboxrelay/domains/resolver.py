"""DNS questions: each asked once, its answer kept by its TTL.

In: a name and a type. Out: `Lookup`. Never: two questions of the same kind under way; one that ends because nobody waits any more.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from qboxrelay.domains.stub import Lookup, Stub
from qboxrelay.settings.schema import SenderDomainSettings
from qboxrelay.telemetry.metrics_domains import DomainMetrics

_MAX_KEPT = 20_000


class Resolver:
    """Asks the configured resolvers. `close()` ends what is under way."""

    def __init__(
        self, *, settings: SenderDomainSettings, metrics: DomainMetrics, monotonic: Callable[[], float]
    ) -> None:
        self._stub = Stub(settings)
        self._metrics = metrics
        self._monotonic = monotonic
        self._kept: OrderedDict[tuple[str, str], tuple[float, Lookup]] = OrderedDict()
        self._under_way: dict[tuple[str, str], asyncio.Task[Lookup]] = {}

    async def lookup(self, name: str, kind: str) -> Lookup:
        """`kind` is TXT, CNAME, MX, A or AAAA; `name` in the form of DNS."""
        key = (name, kind)
        until, known = self._kept.get(key, (0.0, None))
        if known is not None and self._monotonic() < until:
            return known
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._ask(key), name=f"dns {kind} {name}")
        # Whoever gives up waiting must not end it for the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _ask(self, key: tuple[str, str]) -> Lookup:
        try:
            found = await self._stub.ask(*key)
            self._keep(key, found)
            self._metrics.looked_up(key[1], found.status)
            return found
        finally:
            del self._under_way[key]

    def _keep(self, key: tuple[str, str], found: Lookup) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (self._monotonic() + found.ttl.total_seconds(), found)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
