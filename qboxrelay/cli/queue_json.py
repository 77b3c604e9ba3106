"""The queue as JSON for programs: the shapes of `qboxrelay queue … --json` and of `qboxrelay trace --json`.

In: the queue's values. Out: dicts of texts and numbers; times as ISO 8601 in UTC. Never: content.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qboxrelay.spool.port import Handled, Record
    from qboxrelay.spool.queue import Attempt, Done, Overview, Story


def record_json(record: "Record") -> dict[str, Any]:
    return {
        "id": record.id,
        "state": record.state,
        "account": record.account,
        "received_at": iso(record.received_at),
        "envelope_sender": record.envelope_sender,
        "recipients": list(record.recipients),
        "from": record.from_address,
        "client": record.client,
        "attempts": record.attempts,
        "next_attempt_at": iso(record.next_attempt_at),
        "outcome": record.outcome,
        "reason": record.reason,
        "text": record.text,
        "request_id": record.request_id,
        "message_id": record.message_id,
    }


def story_json(story: "Story") -> dict[str, Any]:
    return {
        **record_json(story.record),
        "transaction_id": story.transaction_id,
        "client_address": story.record.client_address,
        "client_helo": story.client_helo,
        "client_user": story.client_user,
        "listener": story.listener,
        "priority": story.priority,
        "message_id_header": story.message_id_header,
        "payload_bytes": story.payload_bytes,
        "content_kept": story.has_content,
        "raw_kept": story.has_raw,
        "maybe_sent": story.maybe_sent,
        "is_notice": story.is_notice,
        "notice": story.notice,
        "to_be_told": story.tell,
        "sender_rule": story.sender_rule,
        "domain_state": story.domain_state,
        "stored_at": iso(story.stored_at),
        "finished_at": iso(story.finished_at),
        "submitted_at": story.submitted_at,
        "suppression": story.suppression,
        "attempt_list": [_attempt_json(attempt) for attempt in story.attempts],
        "operators": [handled_json(one) for one in story.handled],
    }


def handled_json(one: "Handled") -> dict[str, Any]:
    return {
        "at": iso(one.at),
        "what": one.what,
        "by": one.by,
        "id": one.id,
        "account": one.account,
        "before": one.before,
    }


def done_json(done: "Done") -> dict[str, Any]:
    return {"id": done.id, "done": not done.refused, "before": done.before, "refused": done.refused or None}


def overview_json(overview: "Overview") -> dict[str, Any]:
    return {
        "totals": [
            {"account": one.account, "state": one.state, "messages": one.messages, "bytes": one.bytes}
            for one in overview.totals
        ],
        "oldest_received_at": {state: iso(at) for state, at in overview.oldest.items()},
        "pauses": [
            {"account": one.account or None, "at": iso(one.at), "by": one.by, "why": one.why} for one in overview.pauses
        ],
    }


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _attempt_json(attempt: "Attempt") -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "text": attempt.text,
        "request_messages": attempt.messages,
        "status": attempt.status,
        "request_id": attempt.request_id,
        "error": attempt.error,
        "connect_seconds": attempt.connect_seconds,
        "answer_seconds": attempt.answer_seconds,
    }
