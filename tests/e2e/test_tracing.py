"""A mail's trace goes on through the relay, its spool and a restart, to a collector that speaks OTLP over HTTP."""

import smtplib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import mails
from tests.support.collector import Collector, Span, collector
from tests.support.processes import HOST, Relay, Sandbox, wait_until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NAMES = ("mail receive", "spool put", "spool wait", "submission send")
ENVIRONMENT = {
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a-key",
    "NO_PROXY": HOST,
    "no_proxy": HOST,
}
StartTraced = Callable[..., Relay]


@pytest.fixture
def collecting() -> Iterator[Collector]:
    with collector() as one:
        yield one


@pytest.fixture
def traced(tmp_path: Path, qboxmail: Sandbox, collecting: Collector) -> Iterator[Relay]:
    extra = f'[tracing]\nendpoint = "{collecting.url}"\n[delivery]\nretry_schedule = ["1s"]\n'
    with closing(Relay(tmp_path / "relay", qboxmail.url, extra=extra)) as relay:
        yield relay.start(environment=ENVIRONMENT)


def spans(collecting: Collector, name: str, count: int = 1) -> list[Span]:
    """Those of a name, once so many were handed in: spans that end together may come one after the other."""
    found: list[Span] = wait_until(
        lambda: named if len(named := collecting.named(name)) >= count else [], what=f"{count} of {name}"
    )
    return found


def hand_in(relay: Relay, *traceparents: str, recipients: tuple[str, ...] = ("bob@example.net",)) -> None:
    mail = mails.simple("hello")
    for traceparent in traceparents:
        mail["traceparent"] = traceparent
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.sendmail("ann@example.com", list(recipients), mails.wire(mail))


def test_a_mail_is_four_spans_of_its_senders_trace(traced: Relay, collecting: Collector, qboxmail: Sandbox) -> None:
    """Taken in, stored, waiting, sent: in order, one below the other, with the ids of the log and no content."""
    hand_in(traced, f"00-{TRACE}-{SPAN}-01")
    wait_until(lambda: len(collecting.spans) == 4, what="four spans")
    receive, put, wait, send = (collecting.named(name)[0] for name in NAMES)
    (line,) = traced.wait_for("submission.sent")
    (entry,) = qboxmail.messages()

    assert {span.trace_id for span in collecting.spans} == {TRACE}
    assert receive.parent_id == SPAN
    assert put.parent_id == wait.parent_id == send.parent_id == receive.span_id
    assert receive.start <= put.start <= put.end <= receive.end
    assert wait.start <= wait.end == send.start <= send.end
    assert receive.attributes["qboxrelay.transaction_id"] == line["transaction"]
    assert send.attributes["qboxrelay.submission_id"] == line["submission"]
    assert send.attributes["qboxrelay.request_id"] == entry["request_id"]
    assert send.attributes["http.response.status_code"] == 202
    assert not any(span.failed for span in collecting.spans)
    assert line["trace"] == traced.events("mail.accepted")[0]["trace"] == TRACE
    assert receive.resource["service.name"] == "qboxrelay"
    assert receive.resource["service.instance.id"] == "relay.example"
    assert collecting.headers[0]["x-key"] == "a-key"
    for content in (b"ann@", b"bob@", b"hello", b"token"):
        assert content not in collecting.raw


def test_a_trace_goes_on_after_a_crash(traced: Relay, collecting: Collector, qboxmail: Sandbox) -> None:
    """The context lies in the spool beside the mail, and every attempt is a span of it."""
    qboxmail.faults({"action": "status", "status": 503})
    hand_in(traced, f"00-{TRACE}-{SPAN}-01")
    wait_until(lambda: collecting.named("submission send"), what="the attempt that failed")
    (receive,) = spans(collecting, "mail receive")
    traced.kill()
    qboxmail.faults()
    collecting.spans.clear()
    traced.start(environment=ENVIRONMENT)
    send = wait_until(
        lambda: next((span for span in collecting.named("submission send") if not span.failed), None),
        seconds=60,
        what="the attempt that succeeded",
    )

    assert (send.trace_id, send.parent_id) == (TRACE, receive.span_id)
    assert send.attributes["qboxrelay.attempt"] >= 2
    assert send.attributes["qboxrelay.outcome"] == "accepted"


def test_every_submission_has_its_spans(traced: Relay, collecting: Collector) -> None:
    """Blind recipients get a submission each; they share the mail's span."""
    hand_in(traced, recipients=("one@example.net", "two@example.net", "three@example.net"))
    wait_until(lambda: len(collecting.named("submission send")) == 3, what="three submissions")
    (receive,) = spans(collecting, "mail receive")

    assert receive.attributes["qboxrelay.submissions"] == 3
    assert {span.parent_id for span in collecting.named("submission send")} == {receive.span_id}


@pytest.mark.parametrize(
    "traceparents",
    [(), ("nonsense",), (f"00-{'0' * 32}-{SPAN}-01",), (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01")],
)
def test_without_a_usable_context_a_trace_begins(
    traced: Relay, collecting: Collector, traceparents: tuple[str, ...]
) -> None:
    """Invalid ones are ignored; the mail goes on."""
    hand_in(traced, *traceparents)
    wait_until(lambda: collecting.named("submission send"), what="the mail is sent")

    (receive,) = spans(collecting, "mail receive")
    assert receive.parent_id == ""
    assert {span.trace_id for span in collecting.spans} == {receive.trace_id} != {TRACE}


def test_a_trace_that_is_not_sampled_leaves_no_span(traced: Relay, collecting: Collector) -> None:
    """The sender decided; the next mail's trace shows that spans were handed in."""
    hand_in(traced, f"00-{TRACE}-{SPAN}-00")
    wait_until(lambda: traced.events("submission.sent"), what="the mail is sent")
    hand_in(traced)
    wait_until(lambda: collecting.named("submission send"), what="the other mail's span")

    assert TRACE not in {span.trace_id for span in collecting.spans}


def test_a_refused_request_is_a_failed_span(traced: Relay, collecting: Collector, qboxmail: Sandbox) -> None:
    qboxmail.faults({"action": "status", "status": 400, "body": {"error": "bad"}, "count": 1})
    hand_in(traced)
    (send,) = wait_until(lambda: collecting.named("submission send"), what="the attempt")

    assert send.failed
    assert send.attributes["qboxrelay.state"] == "failed"


def test_a_dead_collector_delays_no_mail_and_no_stop(traced: Relay, collecting: Collector, qboxmail: Sandbox) -> None:
    """Mail leaves, the stop keeps its time, and the log says it a few times, not for every batch."""
    collecting.status = 503
    for _ in range(5):
        hand_in(traced)
    wait_until(lambda: len(qboxmail.messages()) == 5, what="the mails are sent")
    wait_until(lambda: traced.events("library.logged"), what="the log says so")

    assert traced.stop() == 0
    assert len(traced.events("library.logged")) < 10
    assert "Traceback" not in traced.log.read_text()


def test_what_is_left_is_handed_over_at_the_stop(tmp_path: Path, collecting: Collector, qboxmail: Sandbox) -> None:
    """Spans of the latest seconds are not lost by a restart."""
    extra = f'[tracing]\nendpoint = "{collecting.url}"\n'
    with closing(Relay(tmp_path / "relay", qboxmail.url, extra=extra)) as relay:
        relay.start(environment={**ENVIRONMENT, "OTEL_BSP_SCHEDULE_DELAY": "600000"})
        hand_in(relay)
        wait_until(lambda: relay.events("submission.sent"), what="the mail is sent")
        assert collecting.spans == []
        assert relay.stop() == 0

    assert sorted(span.name for span in collecting.spans) == sorted(NAMES)
