"""The log: its lines, and that nothing about it ever fails the mail."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import structlog

from qboxrelay.settings.schema import LogSettings
from qboxrelay.telemetry.logs import configure

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
