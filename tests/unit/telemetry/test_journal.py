"""The journal of systemd: what stands in its fields, and what happens where it is not."""

import json
import os
import socket
import struct
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog

from qboxrelay.settings.schema import LogSettings
from qboxrelay.telemetry.logs import configure


class Listening:
    """Stands where journald listens, and reads what it would read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(30)
        self._socket.bind(str(path))

    def entry(self) -> dict[str, list[str]]:
        """The next entry: each field with all its values."""
        data, ancillary, _, _ = self._socket.recvmsg(1_000_000, socket.CMSG_SPACE(4))
        for _, _, handed in ancillary:
            (descriptor,) = struct.unpack("i", handed[:4])
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                data = file.read()
        return parsed(data)

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)


def parsed(data: bytes) -> dict[str, list[str]]:
    """systemd.io/JOURNAL_NATIVE_PROTOCOL: NAME=value, or NAME, a length of 64 bits, and the value."""
    fields: dict[str, list[str]] = defaultdict(list)
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[9 + size :]
        fields[name.decode()].append(value.decode())
        data = rest
    return dict(fields)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the name of a socket has 107 characters at most."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def journal(folder: Path) -> Iterator[Listening]:
    listening = Listening(folder / "socket")
    yield listening
    listening.close()


def log_to(journal: Listening, stream: StringIO) -> None:
    configure(LogSettings(format="journald", level="debug"), stream, journal=journal.path)


def test_fields_of_an_event_are_fields_of_the_journal(journal: Listening) -> None:
    """journalctl QBOXRELAY_TRANSACTION_ID=… finds a mail; a list is a field with several values; nothing is on the stream."""
    stream = StringIO()
    log_to(journal, stream)
    structlog.get_logger().info(
        "mail.accepted",
        transaction="01X",
        submission="01X-1",
        recipients=["ann@example.org", "bob@example.org"],
        bytes=3,
        tls=True,
        wait=timedelta(seconds=2),
        user=None,
        nested={"a": 1},
        text="two words",
    )

    entry = journal.entry()
    assert entry["QBOXRELAY_EVENT"] == ["mail.accepted"]
    assert entry["PRIORITY"] == ["6"]
    assert entry["SYSLOG_IDENTIFIER"] == ["qboxrelay"]
    assert entry["QBOXRELAY_TRANSACTION_ID"] == ["01X"]
    assert entry["QBOXRELAY_SUBMISSION_ID"] == ["01X-1"]
    assert entry["QBOXRELAY_RECIPIENTS"] == ["ann@example.org", "bob@example.org"]
    assert (entry["QBOXRELAY_BYTES"], entry["QBOXRELAY_TLS"], entry["QBOXRELAY_WAIT"]) == (["3"], ["true"], ["2.0"])
    assert entry["QBOXRELAY_NESTED"] == ['{"a":1}']
    assert "QBOXRELAY_USER" not in entry
    assert entry["MESSAGE"][0].startswith("mail.accepted transaction=01X submission=01X-1 ")
    assert 'text="two words"' in entry["MESSAGE"][0]
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3")])
def test_levels_are_priorities_of_syslog(journal: Listening, level: str, priority: str) -> None:
    log_to(journal, StringIO())
    getattr(structlog.get_logger(), level)("a.b")

    assert journal.entry()["PRIORITY"] == [priority]


def test_value_cannot_forge_a_field(journal: Listening) -> None:
    """A line end in a value is part of the value; a name is made of what the journal allows, and is never one of its own."""
    log_to(journal, StringIO())
    structlog.get_logger().info("a.b", text="x\nPRIORITY=0\n_UID=0", **{"_uid": "7", "é=x": "8"})

    entry = journal.entry()
    assert entry["QBOXRELAY_TEXT"] == ["x\nPRIORITY=0\n_UID=0"]
    assert (entry["PRIORITY"], entry["QBOXRELAY__UID"], entry["QBOXRELAY___X"]) == (["6"], ["7"], ["8"])
    assert "\n" not in entry["MESSAGE"][0]
    assert "_UID" not in entry


def crash() -> None:
    password = "hunter2"
    raise ValueError(f"{len(password)}")


def test_traceback_is_shown_without_local_variables(journal: Listening) -> None:
    log_to(journal, StringIO())
    try:
        crash()
    except ValueError:
        structlog.get_logger().exception("session.crashed")

    entry = journal.entry()
    assert "ValueError: 7" in entry["QBOXRELAY_EXCEPTION"][0]
    assert "ValueError: 7" in entry["MESSAGE"][0]
    assert "hunter2" not in str(entry)


def test_entry_larger_than_a_datagram_is_handed_over_as_a_file(journal: Listening) -> None:
    log_to(journal, StringIO())
    structlog.get_logger().info("a.b", text="x" * 20_000_000)

    assert len(journal.entry()["QBOXRELAY_TEXT"][0]) == 20_000_000


def test_without_a_journal_lines_go_to_the_stream_and_say_so(tmp_path: Path) -> None:
    """Nothing is lost in a container, and somebody hears why."""
    stream = StringIO()
    configure(LogSettings(format="journald"), stream, journal=tmp_path / "nothing")
    structlog.get_logger().info("mail.accepted", transaction="01X")

    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["error"]) == ("log.no_journal", "No such file or directory")
    assert "set format in [log]" in first["hint"]
    assert (second["event"], second["transaction"]) == ("mail.accepted", "01X")


def test_journal_that_goes_and_comes_back_loses_no_line(folder: Path) -> None:
    """What it cannot take is on the stream; after its restart it has the lines again."""
    stream = StringIO()
    before = Listening(folder / "socket")
    log_to(before, stream)
    log = structlog.get_logger()
    before.close()
    log.warning("a.lost", transaction="01X")
    after = Listening(folder / "socket")
    log.warning("a.found", transaction="01Y")

    assert json.loads(stream.getvalue())["transaction"] == "01X"
    assert after.entry()["QBOXRELAY_TRANSACTION_ID"] == ["01Y"]
    after.close()


class _UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_value_that_cannot_be_written_does_not_fail_the_mail(journal: Listening) -> None:
    log_to(journal, StringIO())
    structlog.get_logger().info("mail.accepted", error=_UnprintableError(), text="\ud800")
    structlog.get_logger().info("mail.accepted", text="\ud800", number=2**70)

    assert journal.entry()["QBOXRELAY_EVENT"] == ["log.unwritable"]
    assert journal.entry()["QBOXRELAY_TEXT"] == ["\\ud800"]
