"""Questions of one look at a domain, with what they say together: how long it holds.

In: a resolver. Out: lookups. Never: a longer life than the shortest of its answers.
"""

from datetime import timedelta

from qboxrelay.domains.resolver import Resolver
from qboxrelay.domains.stub import Lookup


class Asking:
    """Asks for one report."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.ttl: timedelta | None = None
        """The shortest so far; None before the first answer."""

    async def lookup(self, name: str, kind: str) -> Lookup:
        found = await self._resolver.lookup(name, kind)
        self.ttl = found.ttl if self.ttl is None else min(self.ttl, found.ttl)
        return found

    async def txt(self, name: str) -> Lookup:
        return await self.lookup(name, "TXT")
