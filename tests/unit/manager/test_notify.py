"""What goes to NOTIFY_SOCKET."""

import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from qboxrelay.manager.notify import Notifier
from tests.support.service_manager import NotifySocket


def test_lines_are_those_of_sd_notify() -> None:
    """Each call is one datagram of the documented lines; a status is one line, whatever is in it."""
    listening = NotifySocket()
    notifier = Notifier.from_environment(listening.environ)
    notifier.ready()
    notifier.status("two\nlines")
    notifier.stopping(timedelta(seconds=20))
    notifier.reloading()
    notifier.alive()

    told = listening.told()
    assert told[:4] == ["READY=1", "STATUS=two lines", "STOPPING=1", "EXTEND_TIMEOUT_USEC=20000000"]
    assert told[4] == "RELOADING=1"
    assert told[5].removeprefix("MONOTONIC_USEC=").isdecimal()
    assert told[6:] == ["WATCHDOG=1"]
    listening.close()


def test_socket_in_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path serves as well as an abstract name."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("notify")
        Notifier("notify").ready()
        assert listening.recv(100) == b"READY=1"


def test_nobody_listens() -> None:
    """Without a socket, or with one that is gone, nothing is told and nothing is raised."""
    assert not Notifier().heard
    Notifier().ready()
    Notifier("/nowhere/at/all").ready()
    Notifier("x" * 200).ready()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "2000000"}, timedelta(seconds=2)),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, timedelta(seconds=2)),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_watchdog_of_the_environment(environ: dict[str, str], expected: timedelta | None) -> None:
    """The manager's patience counts only for the process that it names, and its variables are taken out."""
    assert Notifier.from_environment(environ).watchdog == expected
    assert environ == {}
