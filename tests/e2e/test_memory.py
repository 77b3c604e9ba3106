"""How much memory an idle relay holds."""

from collections.abc import Callable

import psutil

from tests.support.processes import Relay

MOST = 75_000_000
"""Some 59 MB here, a quarter of them libraries that other programs share; another machine's may be larger."""
UNUSED = ("_pydantic_core", "_greenlet")
"""Native libraries of which an idle relay has no use, wherever they are installed."""


def test_an_idle_relay_is_small(start_relay: Callable[..., Relay]) -> None:
    """Nothing that only a command or a page in use needs is loaded for good."""
    process = psutil.Process(start_relay().pid())

    assert process.memory_info().rss < MOST
    assert [one.path for one in process.memory_maps() if any(name in one.path for name in UNUSED)] == []
