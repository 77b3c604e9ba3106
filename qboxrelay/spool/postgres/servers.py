"""The servers that a URL names, in the order in which they are tried: first the one that worked last.

In: connection parameters, connections that work. Out: the parameters of the next connection. Never: a way back without need to a server that
failed: after a failover it may still take itself for the one that is written to.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

_BY_SERVER = ("host", "hostaddr", "port")
_PORT = "5432"


class _Server(NamedTuple):
    """As the URL writes it; empty where it says nothing."""

    host: str
    hostaddr: str
    port: str


Order = tuple[_Server, ...]


class Servers:
    """Of one URL. What it says of anything else stays as it is."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._given = dict(parameters)
        self._order = _split(parameters)
        self.place = ",".join(
            f"{one.host or one.hostaddr or 'the local socket'}:{one.port or _PORT}" for one in self._order
        )
        """For people, in the order of the URL."""

    @property
    def count(self) -> int:
        return len(self._order)

    def parameters(self) -> dict[str, Any]:
        """For the next connection."""
        if self.count == 1:
            return dict(self._given)
        columns = zip(_BY_SERVER, zip(*self._order, strict=True), strict=True)
        return self._given | {name: ",".join(values) for name, values in columns if any(values)}

    @property
    def order(self) -> Order:
        """As it is now: what `worked` is to be told that the connection began with."""
        return tuple(self._order)

    def worked(self, host: str, hostaddr: str, port: int, *, begun: Order | None = None) -> bool:
        """The one at which a connection was made that takes writes: from now on the first to be tried. False when the connection is not to be
        used: it `begun` before another server took over, and may have found the old one again.
        """
        for one in self._order:
            same = one.host == host if one.host else one.hostaddr in {host, hostaddr}
            if same and int(one.port or _PORT) == port:
                if begun not in {None, self.order} and one is not self._order[0]:
                    return False
                self._order.remove(one)
                self._order.insert(0, one)
                return True
        return True


def _split(parameters: Mapping[str, Any]) -> list[_Server]:
    """One of them where the lists do not fit: the driver says what is wrong with them."""
    hosts, addresses, ports = (str(parameters.get(name) or "").split(",") for name in _BY_SERVER)
    count = max(len(hosts), len(addresses))
    if any(len(given) not in {1, count} for given in (hosts, addresses, ports)):
        return [_Server(*(str(parameters.get(name) or "") for name in _BY_SERVER))]
    columns = [given if len(given) == count else given * count for given in (hosts, addresses, ports)]
    return [_Server(*row) for row in zip(*columns, strict=True)]
