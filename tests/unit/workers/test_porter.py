"""What becomes of connections that no worker can take now."""

import asyncio
import socket

from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.settings.schema import ListenerSettings, Settings
from qboxrelay.settings.types import SocketAddress
from qboxrelay.workers.counts import Counts
from qboxrelay.workers.porter import Porter


def test_one_is_closed_and_the_others_wait() -> None:
    """In the kernel, until a worker takes connections again: they are not accepted to be closed."""
    asked = 0

    def nobody_can(*_words: object) -> bool:
        nonlocal asked
        asked += 1
        return False

    async def run() -> None:
        porter = Porter(counts=Counts(), hand=nobody_can)
        door = ListenerSettings(name="smtp", address=SocketAddress("127.0.0.1", 0))
        settings = Settings(listeners=(door,))
        porter.adopt(settings, porter.plan(settings, InheritedSockets()))
        clients = [socket.create_connection(("127.0.0.1", porter.doors[0].port), timeout=10) for _ in range(5)]
        porter.serve(frozenset({1}))
        await asyncio.sleep(0.3)
        porter.close()
        for client in clients:
            client.close()

    asyncio.run(run())

    assert asked == 1
