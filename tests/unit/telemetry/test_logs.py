"""The log: its lines, and that nothing about it ever fails the mail."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from select import PIPE_BUF

import pytest
import structlog

from qboxrelay.settings.schema import LogSettings
from qboxrelay.telemetry.logs import configure, together

from .conftest import Log, only


def test_line_says_when_how_severe_and_what_first(log_to: Log) -> None:
    """One JSON object a line, time in UTC, the rest in the order of the call."""
    lines = log_to()
    before = datetime.now(UTC)

    structlog.get_logger().info("mail.accepted", transaction="01X", size=3)

    fields = only(lines())
    assert list(fields) == ["timestamp", "level", "event", "transaction", "size"]
    assert (fields["level"], fields["event"], fields["size"]) == ("info", "mail.accepted", 3)
    assert fields["timestamp"].endswith("Z")
    assert before <= datetime.fromisoformat(fields["timestamp"]) <= datetime.now(UTC)


def test_context_is_on_every_line_of_its_task(log_to: Log) -> None:
    """One id, bound once, stands everywhere; the call's own fields go before it."""
    lines = log_to()
    structlog.contextvars.bind_contextvars(transaction="01X", listener="smtp")

    structlog.get_logger().bind(client="192.0.2.1").info("mail.accepted", listener="other")

    fields = only(lines())
    assert (fields["transaction"], fields["listener"], fields["client"]) == ("01X", "other", "192.0.2.1")


def test_lines_below_the_level_are_not_written(log_to: Log) -> None:
    """The level is the least severe one that is written."""
    lines = log_to(level="warning")
    log = structlog.get_logger()

    log.debug("a.b")
    log.info("a.b")
    log.warning("a.b")
    log.error("a.b")

    assert [line.split('"level":')[1].split(",")[0] for line in lines()] == ['"warning"', '"error"']


def crash() -> None:
    password = "hunter2"
    raise ValueError(f"{len(password)} of bob@example.com")


@pytest.mark.parametrize("kind", ["json", "console"])
def test_traceback_shows_no_local_variables(log_to: Log, kind: str) -> None:
    """Where it happened is shown, what was in hand is not: it may be a token or a mail."""
    lines = log_to(format=kind, addresses="domain")
    try:
        crash()
    except ValueError:
        structlog.get_logger().exception("session.crashed")

    text = "\n".join(lines())
    assert "ValueError" in text
    assert "7 of *@example.com" in text
    assert "crash" in text
    assert "error" in text
    assert "hunter2" not in text.replace('password = "hunter2"', "")


def test_exception_that_was_passed_is_shown(log_to: Log) -> None:
    """`exc_info=error` serves outside of an except block."""
    lines = log_to()

    structlog.get_logger().error("session.crashed", exc_info=ValueError("text"))

    assert only(lines())["exception"][0]["exc_value"] == "text"


def test_closed_pipe_does_not_fail_the_mail() -> None:
    """Who read the log is gone: mail flow goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        configure(LogSettings(format="json"), stream)

        structlog.get_logger().info("mail.accepted")


@pytest.mark.parametrize("closed", [True, False])
def test_stream_that_fails_does_not_fail_the_mail(tmp_path: Path, *, closed: bool) -> None:
    """The disk of the log is full, or the file was closed: mail flow goes on."""
    with Path(tmp_path / "log" if closed else "/dev/full").open("w") as stream:
        configure(LogSettings(format="json"), stream)
        if closed:
            stream.close()

        structlog.get_logger().info("mail.accepted")


def test_process_whose_log_is_full_ends_well() -> None:
    """Nothing is left in a buffer that the interpreter would complain about at its end."""
    program = (
        "import sys, structlog\n"
        "from qboxrelay.settings.schema import LogSettings\n"
        "from qboxrelay.telemetry.logs import configure\n"
        "configure(LogSettings(), sys.stderr)\n"
        "structlog.get_logger().info('mail.accepted', text='x' * 100_000)\n"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stderr=full, check=False)

    assert done.returncode == 0


def test_stream_without_descriptor_serves() -> None:
    """A test's own stream, for instance."""
    stream = StringIO()
    configure(LogSettings(), stream)

    structlog.get_logger().info("mail.accepted", text="è")

    assert '"text":"è"' in stream.getvalue()


def test_stream_closed_at_the_start_serves(tmp_path: Path) -> None:
    """A daemon may be started with its standard streams closed; Python has None for them."""
    stream = (tmp_path / "log").open("w")
    stream.close()

    for closed in (stream, None):
        configure(LogSettings(), closed)
        structlog.get_logger().info("mail.accepted")


def test_terminal_gets_lines_for_people(tmp_path: Path) -> None:
    """`auto`: text on a terminal, JSON elsewhere."""
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        configure(LogSettings(format="auto"), stream)
        structlog.get_logger().info("mail.accepted", size=3)
        on_terminal = os.read(controller, 10_000)
    os.close(controller)

    assert b"mail.accepted" in on_terminal
    assert b"{" not in on_terminal
    assert b"\x1b[" in on_terminal


class _UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("kind", ["json", "console"])
def test_value_that_cannot_be_written_does_not_fail_the_mail(log_to: Log, kind: str) -> None:
    """The line says that it could not be written, and no more."""
    lines = log_to(format=kind)

    structlog.get_logger().info("mail.accepted", error=_UnprintableError())

    assert only(lines()) == {"level": "info", "event": "log.unwritable", "error": "RuntimeError"}


class _Writes(StringIO):
    """Keeps what it is given, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str) -> int:
        self.calls.append(text)
        return len(text)


def events(text: str) -> list[str]:
    return [json.loads(line)["event"] for line in text.splitlines()]


def say_together_and_fail(stream: _Writes) -> None:
    log = structlog.get_logger()
    with together():
        log.info("a.first")
        with together():
            log.warning("a.second")
        log.info("a.third")
        assert stream.calls == []
        raise KeyError


def test_lines_that_are_said_together_are_written_in_one_go() -> None:
    """In their order, at the end of the outermost block, though it fails; afterwards each at once again."""
    stream = _Writes()
    configure(LogSettings(format="json"), stream)
    with pytest.raises(KeyError):
        say_together_and_fail(stream)
    structlog.get_logger().info("a.fourth")

    assert [events(text) for text in stream.calls] == [["a.first", "a.second", "a.third"], ["a.fourth"]]


def test_what_is_said_together_is_not_divided_in_a_line() -> None:
    """Worker processes write to the same pipe, which takes no more than PIPE_BUF octets undivided. A longer line goes alone."""
    stream = _Writes()
    configure(LogSettings(format="json"), stream)
    log = structlog.get_logger()
    with together():
        for number in range(100):
            log.info("a.line", number=number, text="x" * (2 * PIPE_BUF if number == 50 else 200))

    assert [line["number"] for text in stream.calls for line in map(json.loads, text.splitlines())] == [*range(100)]
    assert all(text.endswith("\n") for text in stream.calls)
    assert len([text for text in stream.calls if len(text) > PIPE_BUF]) == 1
    assert len(stream.calls) < 20


def test_another_thread_does_not_wait_for_what_is_said_together() -> None:
    stream = _Writes()
    configure(LogSettings(format="json"), stream)
    log = structlog.get_logger()
    with together():
        log.info("a.mine")
        other = threading.Thread(target=log.info, args=("a.other",))
        other.start()
        other.join()

    assert [events(text) for text in stream.calls] == [["a.other"], ["a.mine"]]


def test_together_serves_whatever_the_log_is(tmp_path: Path) -> None:
    """A file, a stream that is gone, nothing that was configured, nothing to say."""
    with together():
        pass
    with (tmp_path / "log").open("w") as stream:
        configure(LogSettings(format="console"), stream)
        with together():
            structlog.get_logger().info("a.first")
            structlog.get_logger().info("a.second")
    with together():
        structlog.get_logger().info("a.third")
    configure(LogSettings(), None)
    with together():
        structlog.get_logger().info("a.fourth")

    first, second = (tmp_path / "log").read_text().splitlines()
    assert "a.first" in first
    assert "a.second" in second


def test_worker_says_its_number_after_the_fields_of_the_call() -> None:
    """Fields of every line stand last, in a plain line and in one that takes the long way."""
    stream = StringIO()
    configure(LogSettings(format="json"), stream, always={"worker": 2})
    structlog.get_logger().info("mail.accepted", size=3)
    structlog.get_logger().warning("mail.late", size=3)

    for line in stream.getvalue().splitlines():
        assert list(json.loads(line)) == ["timestamp", "level", "event", "size", "worker"]


def test_time_and_level_are_those_of_the_line(log_to: Log) -> None:
    """Whatever a call names so: no field stands twice."""
    lines = log_to()
    structlog.get_logger().info("a.b", level="fatal", timestamp="never")

    assert lines()[0].count('"level"') == lines()[0].count('"timestamp"') == 1
    assert only(lines())["level"] == "info"
    assert only(lines())["timestamp"] != "never"


def test_subject_that_was_all_there_was_leaves_a_line(log_to: Log) -> None:
    lines = log_to(subjects="off")
    structlog.get_logger().info("a.b", subject="The Diagnosis")
    structlog.get_logger().info("a.b")

    assert [list(json.loads(line)) for line in lines()] == [["timestamp", "level", "event"]] * 2
