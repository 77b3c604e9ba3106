"""Whether an address lies in one of several networks.

In: textual addresses. Out: yes or no. Never: an exception; what is no address is in no network.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks:
    """A list of networks. The answer for an address is remembered, as the same applications come again and again."""

    def __init__(self, networks: Iterable[IPNetwork]) -> None:
        self._networks = tuple(networks)
        self._holds = lru_cache(4096)(self._look)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: object) -> bool:
        return self._holds(str(address))

    def _look(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            # How an IPv4 client appears on an IPv6 socket (RFC 4291 §2.5.5.2).
            address = address.ipv4_mapped
        return any(address in network for network in self._networks if network.version == address.version)
