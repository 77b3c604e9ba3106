"""How much memory an idle relay holds."""

from collections.abc import Callable

import psutil

from tests.support.processes import Relay

MOST = 90_000_000
"""Some 75 MB here, a quarter of them libraries that other programs share; another machine's may be larger."""


def test_an_idle_relay_is_small(start_relay: Callable[..., Relay]) -> None:
    """Nothing that only a command or a page in use needs is loaded for good."""
    assert psutil.Process(start_relay().pid()).memory_info().rss < MOST
