"""The queue as tables for people.

In: the queue's values. Out: text on standard output. Never: content; markup or control characters that came with a mail.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qboxrelay.cli.plain import plain
from qboxrelay.model.submission import State

if TYPE_CHECKING:
    from qboxrelay.spool.port import Handled, Record
    from qboxrelay.spool.queue import Attempt, Overview, Story

_COLOURS = {
    State.QUEUED: "blue", State.SENDING: "cyan", State.SENT: "green", State.FAILED: "red", State.HELD: "yellow",
}  # fmt: skip
_WIDE = 200
"""For files and pipes, which have no width of their own."""
_MIB = 1_000_000


def print_records(records: Iterable["Record"], *, more: bool) -> None:
    out, table = console(), _table("Id", "State", "Age", "Account", "From", "To", "Tries", "Latest answer")
    for record in records:
        to = ", ".join(record.recipients[:2]) + (
            f" +{len(record.recipients) - 2}" if len(record.recipients) > 2 else ""
        )
        cells = (
            ago(record.received_at), record.account, record.from_address or record.envelope_sender or "<>", to,
            str(record.attempts), answer_of(record),
        )  # fmt: skip
        table.add_row(
            record.id, Text(record.state, style=_COLOURS[record.state]), *(Text(plain(cell)) for cell in cells)
        )
    out.print(table)
    if more:
        out.print("There are more: --limit shows them.")


def print_story(story: "Story") -> None:
    out, record = console(), story.record
    out.print(Text.assemble((record.id, "bold"), "  ", (record.state, _COLOURS[record.state])))
    for name, value in _facts(story):
        if value:
            out.print(Text(f"  {name:<13} {plain(value)}"), soft_wrap=True)
    print_timeline(story, out)


def print_timeline(story: "Story", out: Console) -> None:
    """What happened, in order, with what each step took."""
    table = _table("When", "After", "What")
    before = story.record.received_at
    for moment, text in timeline(story):
        table.add_row(local(moment), Text(span(moment - before) if moment >= before else ""), Text(plain(text)))
        before = moment
    out.print(table)


def timeline(story: "Story") -> list[tuple[datetime, str]]:
    """Times and sentences, oldest first."""
    record = story.record
    whom = story.client_user or record.client_address or "the relay itself"
    events = [(record.received_at, f"received from {whom} on {story.listener or 'no listener'}")]
    if story.stored_at is not None:
        events.append((story.stored_at, f"safe in the spool, for account {record.account}"))
    for attempt in story.attempts:
        if attempt.started_at is not None:
            events.append((attempt.started_at, f"attempt {attempt.number}, in a request of {attempt.messages}"))
        if attempt.ended_at is not None:
            events.append((attempt.ended_at, _ended(attempt)))
    events += [(one.at, said(one)) for one in story.handled]
    if record.state is State.QUEUED and record.next_attempt_at is not None:
        events.append((record.next_attempt_at, "next attempt"))
    return sorted(events, key=lambda event: event[0])


def said(one: "Handled") -> str:
    """An operator's act in words."""
    of = "" if one.id else f" of {one.account or 'everything'}"
    return f"{one.what}{of} by {one.by}" + (f" (it was {one.before})" if one.before else "")


def print_overview(overview: "Overview") -> None:
    out, table = console(), _table("Account", "State", "Messages", "MB")
    for total in overview.totals:
        shown = Text(total.state, style=_COLOURS[total.state])
        table.add_row(Text(plain(total.account)), shown, str(total.messages), f"{total.bytes / _MIB:.1f}")
    out.print(table if overview.totals else "The spool is empty.")
    for state in (State.QUEUED, State.HELD, State.FAILED):
        if state in overview.oldest:
            out.print(f"The oldest {state} one came {ago(overview.oldest[state])} ago.")
    for pause in overview.pauses:
        what = plain(pause.account) or "everything"
        why = f": {plain(pause.why)}" if pause.why else ""
        out.print(Text(f"{what} is paused since {local(pause.at)} by {plain(pause.by)}{why}", style="yellow"))


def answer_of(record: "Record") -> str:
    if record.outcome is None:
        return ""
    return ": ".join(filter(None, (record.reason or record.outcome, (record.text or "")[:120])))


def ago(moment: datetime) -> str:
    return span(datetime.now(UTC) - moment)


def span(duration: timedelta) -> str:
    seconds = max(0.0, duration.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds:.3f} s" if seconds < 10 else f"{round(seconds)} s"


def local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def console() -> Console:
    out = Console(highlight=False)
    return out if out.is_terminal else Console(width=_WIDE, highlight=False)


def _facts(story: "Story") -> Sequence[tuple[str, str]]:
    record = story.record
    kept = "yes" if story.has_content else "no (it was sent, or keep_failed_payloads passed)"
    return (
        ("transaction", story.transaction_id),
        ("policy", _policy(story)),
        ("sender", record.envelope_sender or "<>"),
        ("from", record.from_address),
        ("recipients", ", ".join(record.recipients)),
        ("client", " ".join(filter(None, (record.client_address, story.client_helo, story.client_user)))),
        ("Message-ID", story.message_id_header),
        ("request_id", record.request_id or ""),
        ("message_id", record.message_id or ""),
        ("submitted_at", story.submitted_at or ""),
        ("suppression", story.suppression or ""),
        ("notice", _notice(story)),
        ("size", f"{story.payload_bytes} bytes as JSON"),
        ("content kept", kept),
        ("duplicate", "an attempt ended without an answer: it may have been sent already" if story.maybe_sent else ""),
    )


def _policy(story: "Story") -> str:
    rule = f"sender rule {story.sender_rule}" if story.sender_rule else "no sender rule"
    domain = f"sender domain {story.domain_state}" if story.domain_state else "sender domain not checked"
    return f"account {story.record.account}, {rule}, {domain}"


def _notice(story: "Story") -> str:
    if story.notice is None:
        return "this is one" if story.is_notice else ""
    return f"of its {story.notice}, {f'still to be told to {story.tell}' if story.tell else 'which was dealt with'}"


def _ended(attempt: "Attempt") -> str:
    seconds = [
        f"{name} {value:.3f} s"
        for name, value in (("connect", attempt.connect_seconds), ("answer", attempt.answer_seconds))
        if value is not None
    ]
    status = f"HTTP {attempt.status}" if attempt.status else ""
    request = f"request_id {attempt.request_id}" if attempt.request_id else ""
    parts = (attempt.outcome or "no answer", status, attempt.reason, attempt.text, request, *seconds)
    return ", ".join(filter(None, parts))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
