"""Who can reach an address that the relay listens on.

In: a host as it is configured. Out: yes or no. Never: a name look-up.
"""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    address = _address(host)
    return address.is_loopback if address is not None else host.lower().rstrip(".") == "localhost"


def is_private(host: str) -> bool:
    """Whether only a private network reaches the host. All addresses at once (`0.0.0.0`, `::`) may hold a public one."""
    address = _address(host)
    if address is None:
        return is_loopback(host)
    return address.is_private and not address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
