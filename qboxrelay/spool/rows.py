"""Rows of either backend as the values of the ports: both give their columns the same names.

In: rows by name. Out: submissions, records, stories, notes. Never: SQL.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from qboxrelay.model.submission import NoticeKind, State, Submission
from qboxrelay.spool.port import Fact, Handled, Pause, Record, Untold
from qboxrelay.spool.queue import Attempt, Content, Story, Total
from qboxrelay.spool.times import from_ms


class Row(Protocol):
    """A column's value by its name."""

    def __getitem__(self, name: str, /) -> Any: ...


def moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


def record_of(row: Row) -> Record:
    return Record(
        key=row["key"],
        id=row["id"],
        state=State(row["state"]),
        account=row["account"],
        received_at=from_ms(row["received_at"]),
        envelope_sender=row["envelope_sender"],
        recipients=tuple(orjson.loads(row["recipients"])),
        from_address=row["from_address"],
        client=row["client_user"] or row["client_address"],
        client_address=row["client_address"],
        attempts=row["attempts"],
        next_attempt_at=moment(row["next_attempt_at"]),
        outcome=row["outcome"],
        reason=row["reason"],
        text=row["text"],
        request_id=row["request_id"],
        message_id=row["message_id"],
    )


def submission_of(row: Row) -> Submission:
    """With its content."""
    return Submission(
        id=row["id"],
        transaction_id=row["id"].rpartition("-")[0],
        account=row["account"],
        client_key=row["client_key"],
        priority=row["priority"],
        payload=row["payload"] or b"",
        received_at=from_ms(row["received_at"]),
        envelope_sender=row["envelope_sender"],
        recipients=tuple(orjson.loads(row["recipients"])),
        notify_never=bool(row["notify_never"]),
        is_notice=bool(row["is_notice"]),
        dsn=row["dsn"] or "",
        from_address=row["from_address"],
        subject=row["subject"],
        message_id_header=row["message_id_header"],
        client_address=row["client_address"],
        client_helo=row["client_helo"],
        client_user=row["client_user"],
        listener=row["listener"],
        sender_rule=row["sender_rule"] or "",
        domain_state=row["domain_state"] or "",
        raw=row["raw"],
        traceparent=row["traceparent"] or "",
    )


def untold_of(row: Row) -> Untold:
    return Untold(
        key=row["key"],
        id=row["id"],
        transaction_id=row["id"].rpartition("-")[0],
        notice=NoticeKind(row["notice"]),
        received_at=from_ms(row["received_at"]),
        recipients=tuple(orjson.loads(row["recipients"])),
        dsn=row["dsn"],
        subject=row["subject"],
        message_id_header=row["message_id_header"],
        tried_at=moment(row["started_at"]),
        maybe_sent=bool(row["maybe_sent"]),
        reason=row["reason"] or "",
        text=row["text"] or "",
        request_id=row["request_id"],
    )


def story_of(row: Row, attempts: Sequence[Attempt], handled: Sequence[Handled]) -> Story:
    return Story(
        record=record_of(row),
        transaction_id=row["id"].rpartition("-")[0],
        client_helo=row["client_helo"],
        client_user=row["client_user"],
        listener=row["listener"],
        priority=row["priority"],
        subject=row["subject"],
        message_id_header=row["message_id_header"],
        payload_bytes=row["payload_bytes"],
        has_content=row["content_bytes"] > 0,
        has_raw=bool(row["has_raw"]),
        maybe_sent=bool(row["maybe_sent"]),
        finished_at=moment(row["finished_at"]),
        submitted_at=row["submitted_at"],
        suppression=row["suppression"],
        is_notice=bool(row["is_notice"]),
        notice=row["notice"],
        tell=row["tell"],
        sender_rule=row["sender_rule"],
        domain_state=row["domain_state"],
        stored_at=moment(row["stored_at"]),
        attempts=tuple(attempts),
        handled=tuple(sorted(handled, key=lambda one: one.at)),
    )


def attempt_of(row: Row) -> Attempt:
    """An attempt outlives the note of its request, which goes by its own end."""
    return Attempt(
        number=row["number"],
        started_at=moment(row["started_at"]),
        ended_at=moment(row["ended_at"]),
        outcome=row["outcome"],
        reason=row["reason"] or "",
        text=row["text"] or row["request_text"] or "",
        messages=row["messages"] or 0,
        status=row["status"],
        request_id=row["request_id"],
        error=row["error"],
        connect_seconds=row["connect_seconds"],
        answer_seconds=row["answer_seconds"],
    )


def handled_of(row: Row) -> Handled:
    return Handled(
        at=from_ms(row["at"]),
        what=row["act"],
        by=row["by"],
        id=row["id"],
        account=row["account"],
        before=row["before"],
    )


def pause_of(row: Row) -> Pause:
    return Pause(account=row["account"], at=from_ms(row["at"]), by=row["by"], why=row["why"])


def total_of(row: Row) -> Total:
    return Total(
        account=row["account"], state=State(row["state"]), messages=int(row["messages"]), bytes=int(row["bytes"])
    )


def content_of(row: Row | None) -> Content | None:
    """None where both are gone."""
    if row is None or not (row["payload"] or row["raw"]):
        return None
    return Content(payload=bytes(row["payload"]), raw=None if row["raw"] is None else bytes(row["raw"]))


def fact_of(row: Row | None) -> Fact | None:
    return None if row is None else Fact(value=bytes(row["value"]), version=row["version"])
