"""Answers of the Send API (API pages responses-pagination, errors-retries), as values.

In: what was accepted, or the problem. Out: an `Answer`. Never: a field that is neither documented nor a switch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
from starlette.responses import Response

from qboxrelay.sandbox.entries import Judged, entries_of, summary_of
from qboxrelay.sandbox.errors import Problem
from qboxrelay.sandbox.faults import Rule
from qboxrelay.sandbox.switches import Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is going to be sent, before a fault changes how."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    def response(self) -> Response:
        return Response(self.body, self.status, self.headers)


def accepted(request_id: str, judged: Sequence[Judged], switches: Switches, rule: Rule | None) -> Answer:
    """The documented 202."""
    entries = entries_of(request_id, judged, switches, rule)
    taken = [one for one in judged if not one.error_code]
    count = len(taken) if switches.queued_counts == "messages" else sum(len(one.recipients) for one in taken)
    body = {"error_code": 0, "message": "OK", "request_id": request_id, "queued_messages": count, "messages": entries}
    if switches.suppression_summary == "request":
        body["suppression_summary"] = summary_of(judged)
    return Answer(status=202, body=orjson.dumps(body))


def refused(request_id: str, problem: Problem, switches: Switches, wait: float = 0.0) -> Answer:
    """The documented error body; `wait` goes into Retry-After."""
    status, slug = switches.error(problem.kind)
    body: dict[str, Any] = {"error_code": status, "message": problem.text, "error": slug}
    if switches.error_request_id:
        body["request_id"] = request_id
    headers = {"content-type": "application/json"}
    if wait and switches.rate_retry_after == "seconds":
        headers["retry-after"] = str(-int(-wait // 1))
    elif wait and switches.rate_retry_after == "date":
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1 - int(-wait // 1))
        headers["retry-after"] = format_datetime(moment, usegmt=True)
    return Answer(status=status, body=orjson.dumps(body), headers=headers)


def unavailable(request_id: str, rule: Rule | None) -> Answer:
    """What a fault answers unless its rule says more: an error body for an error, nothing for anything else."""
    status = (rule.status if rule is not None else None) or 503
    body = {"error_code": status, "message": "Asked for by a fault rule.", "error": "fault", "request_id": request_id}
    return Answer(status=status, body=orjson.dumps(body) if status >= 400 else b"")


def by_rule(rule: Rule, otherwise: Answer) -> Answer:
    """The answer that a rule asks for: its own status, body and headers, as far as it has them."""
    if rule.status is None and rule.body is None and not rule.headers:
        return otherwise
    body = rule.body.encode() if isinstance(rule.body, str) else orjson.dumps(rule.body)
    if rule.body is None:
        body = otherwise.body
    kind = "text/html" if body.lstrip().startswith(b"<") else "application/json"
    headers = {"content-type": kind} | {name.lower(): value for name, value in rule.headers.items()}
    return Answer(status=rule.status or otherwise.status, body=body, headers=headers)


def now_text() -> str:
    """ISO 8601, UTC, milliseconds, as in the published example."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
