"""Trace contexts of mails, and that tracing costs nothing where nobody wants it."""

import subprocess
import sys

import pytest

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.rules_tracing import extra_findings
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.schema.tracing import TracingSettings
from qboxrelay.telemetry.tracing import OFF, Context, named_trace, open_tracing, read_traceparent, trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_a_valid_traceparent_is_taken(text: str, *, sampled: bool) -> None:
    """W3C Trace Context §3.2; of a later version what this one knows."""
    assert read_traceparent(text) == Context(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}{SPAN}-01",
        "x" * 100_000,
    ],
)
def test_what_is_none_is_ignored(text: str) -> None:
    """As if the mail had none: a wrong one must not lead into somebody's trace."""
    assert read_traceparent(text) is None


def test_the_field_is_found_whatever_its_case() -> None:
    """Of several none is the right one."""
    assert named_trace([("Subject", "x"), ("TraceParent", " a ")]) == "a"
    assert named_trace([("traceparent", "a"), ("traceparent", "b")]) == ""
    assert named_trace([]) == ""


def test_the_trace_of_a_context_is_shown() -> None:
    assert trace_id(f"00-{TRACE}-{SPAN}-01") == TRACE
    assert trace_id("") is None


def test_off_is_nothing_and_imports_nothing() -> None:
    """Not a module of OpenTelemetry is loaded by a relay that does not trace."""
    assert open_tracing(endpoint="", sample_ratio=1.0, name="r", version="0") is OFF
    program = (
        "import sys, qboxrelay.service, qboxrelay.cli.run, qboxrelay.telemetry.logs\n"
        "from qboxrelay.telemetry.tracing import open_tracing\n"
        "open_tracing(endpoint='', sample_ratio=1.0, name='r', version='0')\n"
        "print([name for name in sys.modules if 'opentelemetry' in name or name == 'requests'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60)

    assert done.stdout.strip() == "[]"


def test_off_hands_submissions_on_as_they_are() -> None:
    """No copy, no change."""
    submissions: list[object] = []
    with OFF.receiving(None, "", "") as span:  # type: ignore[arg-type]
        assert span.marked(submissions) is submissions  # type: ignore[arg-type]


def test_a_missing_extra_is_said_before_the_start() -> None:
    """Not by a traceback of an import."""
    settings = Settings(tracing=TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces"))
    (finding,) = extra_findings(settings, lambda package: package == "opentelemetry")

    assert isinstance(finding, Finding)
    assert "qboxrelay[otel]" in finding.instead
    assert list(extra_findings(settings)) == []
    assert list(extra_findings(Settings(), lambda _package: False)) == []
