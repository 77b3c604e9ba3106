"""C: somebody sets the clock while the relay runs, by days and back, or the machine sleeps."""

import signal
import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ledger import Clients, drained, judge, queue
from tests.support.processes import HOST, Relay, Sandbox, wait_until

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
QUICK = '[delivery]\nretry_schedule = ["2s"]\nbreaker_pause = "1s"'


class WrongClock:
    """The wall clock of a process that libfaketime shifts by what a file says; its monotonic clock goes on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift("+0")
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def shift(self, by: str) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(by + "\n")
        new.replace(self._file)


@pytest.mark.skipif(not LIBRARY.exists(), reason="libfaketime is not installed (Debian: apt install faketime)")
@pytest.mark.parametrize("shift", ["+1h", "+3d", "-1d", "-20000d"])
def test_clock_that_jumps(shift: str, start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path) -> None:
    """C1, C2: mail that waits is delivered, mail that comes after gets an id of its own, and nothing is given up for an age it has not."""
    clock = WrongClock(tmp_path / "clock")
    relay = start_relay(extra=QUICK)
    relay.stop()
    relay.start(environment=clock.environment)
    # On a slow machine a mail would have all its attempts before the clock jumps, and rightly be given up behind it.
    qboxmail.faults({"action": "status", "status": 503, "count": 2})
    clients = Clients()
    clients.send(relay.smtp_port, ["before-1", "before-2"])
    wait_until(lambda: relay.events("request.deferred"), what="a try failed")
    clock.shift(shift)
    clients.send(relay.smtp_port, ["after-1", "after-2"])
    qboxmail.faults()
    drained(relay)

    judge(relay, qboxmail, clients)
    assert len(clients.acked) == 4
    assert len({entry["message"]["headers"]["X-Qboxrelay-Id"] for entry in qboxmail.messages()}) == 4
    years = {event["timestamp"][:4] for event in relay.wait_for("submission.sent", 4)}
    assert shift != "-20000d" or min(years) < "1990", "the clock was not shifted"


@pytest.mark.skipif(not LIBRARY.exists(), reason="libfaketime is not installed (Debian: apt install faketime)")
def test_machine_that_slept(start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path) -> None:
    """C4: six hours pass between two instructions, with mail that waits, a request under way and an open session: all goes on, once."""
    clock = WrongClock(tmp_path / "clock")
    relay = start_relay(extra=QUICK)
    relay.stop()
    relay.start(environment=clock.environment)
    qboxmail.faults({"action": "delay", "seconds": 1.0, "count": 1}, {"action": "status", "status": 503, "count": 2})
    clients = Clients()
    with smtplib.SMTP(HOST, relay.smtp_port, timeout=30) as session:
        session.ehlo()
        clients.send(relay.smtp_port, ["under-way"])
        wait_until(qboxmail.requests, what="a request is under way")
        clients.send(relay.smtp_port, ["waits-1", "waits-2"])
        relay.signal(signal.SIGSTOP)
        clock.shift("+6h")
        relay.signal(signal.SIGCONT)
        assert session.noop()[0] in {250, 421}
    clients.send(relay.smtp_port, ["afterwards"])
    drained(relay)

    judge(relay, qboxmail, clients)
    assert len(clients.acked) == 4
    assert not queue(relay, "failed", "held")
