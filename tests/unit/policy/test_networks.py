"""Whether an address lies in one of several networks."""

import ipaddress

import pytest

from qboxrelay.policy.networks import Networks

NETWORKS = Networks(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "fe80::/10")))


@pytest.mark.parametrize(
    "address", ["192.0.2.0", "192.0.2.255", "198.51.100.7", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0"]
)
def test_inside(address: str) -> None:
    """IPv4 clients of a socket for both families are known as what they are."""
    assert address in NETWORKS


@pytest.mark.parametrize(
    "address", ["192.0.3.0", "198.51.100.8", "::ffff:198.51.100.8", "2001:db9::1", "", "localhost", "1"]
)
def test_outside(address: str) -> None:
    """What is no address is nowhere."""
    assert address not in NETWORKS


def test_no_networks() -> None:
    """False, so that callers can tell nobody from everybody."""
    assert not Networks(())
    assert NETWORKS
