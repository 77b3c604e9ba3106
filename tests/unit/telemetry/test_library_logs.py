"""What libraries say through the standard library's logging."""

import logging

import structlog

from qboxrelay.telemetry.library_logs import Forward

from .conftest import Log, only


def test_warning_of_a_library_is_in_our_log(log_to: Log) -> None:
    """One log, one form."""
    lines = log_to()

    logging.getLogger("asyncio").warning("socket.send() raised %s", "it")

    fields = only(lines())
    assert (fields["level"], fields["event"], fields["logger"]) == ("warning", "library.logged", "asyncio")
    assert fields["text"] == "socket.send() raised it"


def test_talk_of_a_library_is_not(log_to: Log) -> None:
    """httpx logs every request's URL at the level info."""
    lines = log_to(level="debug")

    logging.getLogger("httpx").info("HTTP Request: POST https://api.example.com/v1/send")
    logging.getLogger("uvicorn.access").info("GET /metrics")

    assert lines() == []


def test_level_of_ours_holds_for_libraries(log_to: Log) -> None:
    """Where only errors are asked for, a library's warning is not written."""
    lines = log_to(level="error")

    logging.getLogger("asyncio").warning("slow")
    logging.getLogger("asyncio").critical("broken")

    assert only(lines())["level"] == "error"


def test_content_in_the_smtp_library_s_records_is_left_out(log_to: Log) -> None:
    """aiosmtpd formats what clients sent into its records."""
    lines = log_to()

    logging.getLogger("mail.log").error(
        "%r SMTP session exception", "the diagnosis", exc_info=ValueError("the diagnosis")
    )

    fields = only(lines())
    assert (fields["text"], fields["error"]) == ("%r SMTP session exception", "ValueError")
    assert "diagnosis" not in lines()[0]


def test_exception_of_a_library_is_shown(log_to: Log) -> None:
    """Where it is not the SMTP library's."""
    lines = log_to()

    logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=ValueError("text"))

    assert only(lines())["exception"][0]["exc_type"] == "ValueError"


def test_record_that_cannot_be_formatted_is_shown_unformatted(log_to: Log) -> None:
    """A library's mistake is no reason to lose its warning."""
    lines = log_to()
    record = logging.LogRecord("library", logging.WARNING, "", 0, "%d of them", ("some",), None)

    Forward(logging.WARNING).handle(record)

    assert only(lines())["text"] == "%d of them"


def test_configuring_again_doubles_nothing(log_to: Log) -> None:
    """A second configuration replaces the first."""
    log_to()
    lines = log_to()

    logging.getLogger("asyncio").warning("once")
    structlog.get_logger().info("once")

    assert len(lines()) == 2
