"""Sockets that come by LISTEN_FDS: which listener gets which."""

import os
import socket

from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.settings.types import SocketAddress

HOST = "127.0.0.1"


def listening() -> tuple[socket.socket, SocketAddress]:
    opened = socket.create_server((HOST, 0))
    return opened, SocketAddress(HOST, opened.getsockname()[1])


def test_address_goes_before_name() -> None:
    """Sockets of one unit share a name, so the address tells them apart; a name serves where no address fits. Each is given once."""
    (one, first), (two, second) = listening(), listening()
    handed = InheritedSockets([("smtp", one), ("smtp", two)])

    assert handed.take("other", second) is two
    assert handed.take("smtp", SocketAddress("192.0.2.1", 25)) is one
    assert handed.take("smtp", first) is None
    one.close()
    two.close()


def test_what_nobody_takes_is_closed() -> None:
    """A client that connects there must not wait for an answer that nobody gives."""
    left, address = listening()
    InheritedSockets([("old", left)]).close()

    assert left.fileno() == -1
    with socket.socket() as client:
        assert client.connect_ex((address.host, address.port)) != 0


def test_meant_for_another_process() -> None:
    """A child process that inherits the variables does not take the descriptors for its own."""
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "smtp"}

    assert InheritedSockets.from_environment(environ).take("smtp", SocketAddress(HOST, 25)) is None
    assert environ == {}
