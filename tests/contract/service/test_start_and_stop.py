"""The relay in this process: a stop that comes before the start has ended."""

import socket
from pathlib import Path

import pytest

from qboxrelay.model.clock import SystemClock
from qboxrelay.qboxmail.token import FixedToken
from qboxrelay.service import Relay
from qboxrelay.settings.schema import AccountSettings, ListenerSettings, RelaySettings, Settings, StatusSettings
from qboxrelay.settings.types import Secret, SocketAddress
from tests.contract.dispatch.harness import CERTIFICATE, scenario

HOST = "127.0.0.1"


def _relay(tmp_path: Path, *, smtp_port: int = 0, http_port: int = 0) -> Relay:
    settings = Settings(
        relay=RelaySettings(name="relay.example", data_dir=tmp_path / "data"),
        listeners=(ListenerSettings(address=SocketAddress(HOST, smtp_port)),),
        accounts=(AccountSettings(base_url=f"http://{HOST}:9/v1", ca_file=CERTIFICATE),),
        status=StatusSettings(address=SocketAddress(HOST, http_port)),
    )
    return Relay(settings=settings, tokens={"default": FixedToken(Secret("t"))}, clock=SystemClock())


@scenario
async def test_stop_that_comes_before_the_start_has_ended(tmp_path: Path) -> None:
    """No door is opened for somebody who is about to be turned away, `ready` is not told, and the spool is closed."""
    relay, told = _relay(tmp_path), []
    relay.stop()
    await relay.start()
    await relay.run(lambda: told.append("ready"))

    assert relay.listeners == []
    assert relay.http is None
    assert told == []
    again = _relay(tmp_path)
    await again.start()
    assert len(again.listeners) == 1
    again.stop()
    await again.run()


@scenario
async def test_address_that_is_taken(tmp_path: Path) -> None:
    """The error says whose address it is and what to set; everything that was opened is closed again."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"^\[Errno \d+\] status: cannot listen on {HOST}:{port}: .*\[status\]"):
            await _relay(tmp_path, http_port=port).start()
        with pytest.raises(OSError, match=rf"listener smtp: cannot listen on {HOST}:{port}: "):
            await _relay(tmp_path, smtp_port=port).start()
