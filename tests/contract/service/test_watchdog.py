"""A relay whose parts get stuck, and what its service manager hears."""

import asyncio
import threading
import time
from datetime import timedelta
from pathlib import Path

from qboxrelay.manager.notify import Notifier
from qboxrelay.manager.service_manager import ServiceManager
from qboxrelay.model.clock import Clock, SystemClock
from qboxrelay.qboxmail.token import FixedToken
from qboxrelay.service import Relay
from qboxrelay.settings.schema import AccountSettings, ListenerSettings, RelaySettings, Settings, StatusSettings
from qboxrelay.settings.types import Secret, SocketAddress
from tests.contract.dispatch.harness import CERTIFICATE, scenario
from tests.support.service_manager import NotifySocket

HOST = "127.0.0.1"
_WATCHDOG_SECONDS = 0.4
_SILENCE_SECONDS = 4 * _WATCHDOG_SECONDS


class StuckWriter(SystemClock):
    """Time stands still for the spool's writer thread, once it is asked to: as a disk that does not answer."""

    def __init__(self) -> None:
        self.stuck = threading.Event()
        self.free = threading.Event()

    def monotonic(self) -> float:
        if self.stuck.is_set() and threading.current_thread().name == "spool-writer":
            self.free.wait()
        return time.monotonic()


def _relay(tmp_path: Path, clock: Clock, manager: ServiceManager) -> Relay:
    settings = Settings(
        relay=RelaySettings(name="relay.example", data_dir=tmp_path / "data"),
        listeners=(ListenerSettings(address=SocketAddress(HOST, 0)),),
        accounts=(AccountSettings(base_url=f"http://{HOST}:9/v1", ca_file=CERTIFICATE),),
        status=StatusSettings(address=None),
    )
    return Relay(settings=settings, tokens={"default": FixedToken(Secret("t"))}, clock=clock, manager=manager)


async def _fed_again(socket: NotifySocket) -> None:
    fed = socket.count("WATCHDOG=1")
    while socket.count("WATCHDOG=1") == fed:  # noqa: ASYNC110 - it comes by a socket
        await asyncio.sleep(0.02)


async def _silent(socket: NotifySocket) -> None:
    """Return once it has not been fed for several rounds."""
    fed = -1
    while socket.count("WATCHDOG=1") != fed:
        fed = socket.count("WATCHDOG=1")
        await asyncio.sleep(_SILENCE_SECONDS)


@scenario
async def test_writer_that_is_stuck_is_not_hidden(tmp_path: Path) -> None:
    """The watchdog is fed, is not while the writer hangs, and is again when it goes on."""
    socket, clock = NotifySocket(), StuckWriter()
    manager = ServiceManager(Notifier(socket.environ["NOTIFY_SOCKET"], timedelta(seconds=_WATCHDOG_SECONDS)))
    relay = _relay(tmp_path, clock, manager)
    await relay.start()
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(60):
        await _fed_again(socket)
        clock.stuck.set()
        # The round that is under way may still end well, however long it takes.
        await _silent(socket)
        clock.stuck.clear()
        clock.free.set()
        await _fed_again(socket)
        relay.stop()
        await running

    assert socket.count("READY=1") == 1
    assert socket.count("STOPPING=1") == 1
    assert any(line.startswith("STATUS=0 sessions, 0 waiting") for line in socket.told())
    socket.close()


@scenario
async def test_event_loop_that_is_stuck_is_not_hidden(tmp_path: Path) -> None:
    """While something holds the event loop nothing is told."""
    socket = NotifySocket()
    manager = ServiceManager(Notifier(socket.environ["NOTIFY_SOCKET"], timedelta(seconds=_WATCHDOG_SECONDS)))
    relay = _relay(tmp_path, SystemClock(), manager)
    await relay.start()
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(60):
        await _fed_again(socket)
        before = socket.count("WATCHDOG=1")
        time.sleep(_SILENCE_SECONDS)  # noqa: ASYNC251 - what is tested
        silent = socket.count("WATCHDOG=1") == before
        await _fed_again(socket)
        relay.stop()
        await running

    assert silent
    socket.close()
