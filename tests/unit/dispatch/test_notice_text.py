"""What a notice says, word by word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.dispatch.notice_text import Report, Told, digest, for_people, status_fields, subject
from qboxrelay.model.dsn import Asked
from qboxrelay.model.submission import NoticeKind
from qboxrelay.spool.port import Untold

DAYS = timedelta(days=2)
ENTRY = Untold(
    key=1,
    id="T-1",
    transaction_id="T",
    notice=NoticeKind.FAILURE,
    received_at=datetime(2026, 11, 21, 7, 8, 9, tzinfo=UTC),
    recipients=("bob@example.net",),
    dsn="",
    subject="report",
    message_id_header="<1@example.com>",
    tried_at=datetime(2026, 11, 21, 7, 8, 10, tzinfo=UTC),
    maybe_sent=False,
    reason="refused",
    text="bad_poison: not welcome",
    request_id="r-1",
)


def report(entry: Untold = ENTRY, kind: NoticeKind = NoticeKind.FAILURE, asked: Asked | None = None) -> Report:
    return Report(kind=kind, parts=(Told(entry=entry, asked=asked or Asked(), recipients=entry.recipients),))


def test_a_failure_for_people() -> None:
    """What, to whom, why, and how to find it."""
    assert subject(report()) == "Undelivered: report"
    assert for_people(report(), "relay.example", DAYS) == (
        "The mail relay relay.example took this mail, and it could not be delivered and will not be tried again.\n"
        "\n"
        "Subject:     report\n"
        "Message-ID:  <1@example.com>\n"
        "Received:    2026-11-21 07:08:09 UTC\n"
        "Id:          T\n"
        "\n"
        "  bob@example.net\n"
        "    bad_poison: not welcome (request r-1)\n"
    )


def test_a_failure_for_programs() -> None:
    """RFC 3464 §2: a block for the mail, one for each recipient."""
    asked = Asked(envid="QQ", orcpt={"bob@example.net": "rfc822;Bob@example.org"})
    assert status_fields(report(asked=asked), "relay.example", DAYS) == (
        "Reporting-MTA: dns; relay.example\r\n"
        "X-Qboxrelay-Id: T\r\n"
        "Original-Envelope-Id: QQ\r\n"
        "Arrival-Date: Sat, 21 Nov 2026 07:08:09 +0000\r\n"
        "\r\n"
        "Original-Recipient: rfc822;Bob@example.org\r\n"
        "Final-Recipient: rfc822; bob@example.net\r\n"
        "Action: failed\r\n"
        "Status: 5.0.0\r\n"
        "Diagnostic-Code: x-qboxmail; bad_poison: not welcome (request r-1)\r\n"
        "Last-Attempt-Date: Sat, 21 Nov 2026 07:08:10 +0000\r\n"
    )


def test_a_delay_says_until_when() -> None:
    """It is still tried, and until when."""
    late = report(replace(ENTRY, text="", reason="http_503", tried_at=None, request_id=None), NoticeKind.DELAY)

    assert subject(late) == "Delayed: report"
    assert "Tried until: 2026-11-23 07:08:09 UTC\n" in for_people(late, "relay.example", DAYS)
    assert status_fields(late, "relay.example", DAYS).endswith(
        "Action: delayed\r\nStatus: 4.0.0\r\nDiagnostic-Code: x-qboxmail; http_503\r\n"
        "Will-Retry-Until: Mon, 23 Nov 2026 07:08:09 +0000\r\n"
    )


def test_a_digest_lists_every_mail() -> None:
    """With its id, and the first of many recipients."""
    many = report(
        replace(ENTRY, transaction_id="U", recipients=tuple(f"r{n}@example.net" for n in range(9)), subject="")
    )
    text = digest([report(), report(kind=NoticeKind.DELAY), many], "relay.example")

    assert text.startswith("The mail relay relay.example took these mails: 2 could not be delivered, 1 are delayed")
    assert (
        "2026-11-21 07:08:09 UTC  T  report\n  failed: bob@example.net\n    bad_poison: not welcome (request r-1)\n"
        in text
    )
    assert "  failed: r0@example.net, r1@example.net, r2@example.net, r3@example.net, r4@example.net, …\n" in text


def test_a_mail_without_a_subject_has_a_notice_with_one() -> None:
    """The API requires a subject."""
    assert subject(report(replace(ENTRY, subject=""))) == "Undelivered: (no subject)"


@given(st.text(), st.text(), st.text())
def test_no_text_of_others_becomes_a_line(words: str, recipient: str, title: str) -> None:
    """Whatever the API or a client wrote: no field, header or paragraph of its own."""
    entry = replace(ENTRY, text=words, recipients=(recipient,), subject=title, reason=words, request_id=words)
    fields = status_fields(report(entry), "relay.example", DAYS)

    assert "\n" not in subject(report(entry))
    assert len(fields.splitlines()) == len(status_fields(report(), "relay.example", DAYS).splitlines())
