"""What a notice says: to people in sentences, to programs in the fields of RFC 3464.

In: what is to be told of one mail, or of many. Out: text. Never: control characters of a client's or the API's making, or content of the
mail beyond its subject.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime

from qboxrelay.model.dsn import Asked
from qboxrelay.model.submission import NoticeKind
from qboxrelay.spool.port import Untold

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_STATUS = {"refused": "5.0.0", "expired": "5.4.7"}
"""RFC 3463: refused for a reason that the API's words tell; too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One submission of a mail, and those of its recipients of whom is to be told."""

    entry: Untold
    asked: Asked
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is to be told of one mail. `parts` are its submissions; there is at least one."""

    kind: NoticeKind
    parts: tuple[Told, ...]

    @property
    def first(self) -> Untold:
        return self.parts[0].entry

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(recipient for part in self.parts for recipient in part.recipients)


_HEADLINE = {
    NoticeKind.FAILURE: "could not be delivered and will not be tried again.",
    NoticeKind.DELAY: "could not be delivered yet. It is still being tried; you need not send it again.",
}


def subject(report: Report) -> str:
    word = "Undelivered" if report.kind is NoticeKind.FAILURE else "Delayed"
    return f"{word}: {line(report.first.subject) or '(no subject)'}"[:200]


def for_people(report: Report, hostname: str, max_age: timedelta) -> str:
    """The body of a notice about one mail."""
    first = report.first
    facts = [
        ("Subject", line(first.subject)),
        ("Message-ID", line(first.message_id_header)),
        ("Received", f"{first.received_at:%Y-%m-%d %H:%M:%S} UTC"),
        (
            "Tried until",
            f"{first.received_at + max_age:%Y-%m-%d %H:%M:%S} UTC" if report.kind is NoticeKind.DELAY else "",
        ),
        ("Id", first.transaction_id),
    ]
    lines = [f"The mail relay {hostname} took this mail, and it {_HEADLINE[report.kind]}", ""]
    lines += [f"{name + ':':<12} {value}" for name, value in facts if value]
    for part in report.parts:
        lines += ["", *(f"  {line(recipient)}" for recipient in part.recipients), f"    {_why(part.entry)}"]
    return "\n".join([*lines, ""])


def digest(reports: Sequence[Report], hostname: str) -> str:
    """The body of a notice about many mails."""
    failed = sum(report.kind is NoticeKind.FAILURE for report in reports)
    counts = f"{failed} could not be delivered, {len(reports) - failed} are delayed and still being tried"
    lines = [
        f"The mail relay {hostname} took these mails: {counts}.",
        "Such notices were too many to send one for each.",
        "",
    ]
    for report in reports:
        first = report.first
        recipients = ", ".join(map(line, report.recipients[:5])) + (", …" if len(report.recipients) > 5 else "")
        lines += [
            f"{first.received_at:%Y-%m-%d %H:%M:%S} UTC  {first.transaction_id}  {line(first.subject)}",
            f"  {'failed' if report.kind is NoticeKind.FAILURE else 'delayed'}: {recipients}",
            f"    {_why(first)}",
            "",
        ]
    return "\n".join(lines)


def status_fields(report: Report, hostname: str, max_age: timedelta) -> str:
    """The fields of RFC 3464 §2: one block for the mail, one for each recipient."""
    first, asked = report.first, report.parts[0].asked
    blocks = [[f"Reporting-MTA: dns; {hostname}", f"X-Qboxrelay-Id: {first.transaction_id}"]]
    if asked.envid:
        blocks[0].append(f"Original-Envelope-Id: {asked.envid}")
    blocks[0].append(f"Arrival-Date: {_date(first.received_at)}")
    blocks += [
        list(_recipient(report, part, recipient, max_age)) for part in report.parts for recipient in part.recipients
    ]
    return "\r\n".join("\r\n".join(block) + "\r\n" for block in blocks)


def line(text: str) -> str:
    """A text on one line."""
    return _UNPRINTABLE.sub(" ", text).strip()


def _recipient(report: Report, part: Told, recipient: str, max_age: timedelta) -> Iterator[str]:
    entry, failed = part.entry, report.kind is NoticeKind.FAILURE
    if recipient in part.asked.orcpt:
        yield f"Original-Recipient: {part.asked.orcpt[recipient]}"
    # RFC 6533 §4.2.1: an address beyond ASCII has a type of its own.
    yield f"Final-Recipient: {'rfc822' if recipient.isascii() else 'utf-8'}; {line(recipient)}"
    yield f"Action: {'failed' if failed else 'delayed'}"
    yield f"Status: {_STATUS.get(entry.reason, '5.0.0') if failed else '4.0.0'}"
    yield f"Diagnostic-Code: x-qboxmail; {_why(entry)}"
    if entry.tried_at is not None:
        yield f"Last-Attempt-Date: {_date(entry.tried_at)}"
    if not failed:
        yield f"Will-Retry-Until: {_date(entry.received_at + max_age)}"


def _why(entry: Untold) -> str:
    words = line(entry.text) or line(entry.reason) or "no reason was given"
    request = f" (request {line(entry.request_id)})" if entry.request_id else ""
    maybe = "; an attempt had no answer, so that it may have arrived all the same" if entry.maybe_sent else ""
    return f"{words}{request}{maybe}"


def _date(moment: datetime) -> str:
    return format_datetime(moment)
