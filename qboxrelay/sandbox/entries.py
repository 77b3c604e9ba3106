"""The entries of a 202's `messages[]` (API page responses-pagination).

In: what became of each message of a request. Out: the entries. Never: an undocumented choice that is neither a switch nor a fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qboxrelay.sandbox.faults import Rule
from qboxrelay.sandbox.switches import Switches


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of one message. `error_code` 0 is accepted; `suppressed` counts its recipients on the suppression list."""

    recipients: tuple[str, ...]
    message_id: str
    submitted_at: str
    error_code: int = 0
    suppressed: int = 0


def entries_of(
    request_id: str, judged: Sequence[Judged], switches: Switches, rule: Rule | None
) -> list[dict[str, Any]]:
    """The entries, as a rule with the action `entries` wants them if there is one."""
    entries = _entries(request_id, judged, switches)
    if rule is None or rule.action != "entries":
        return entries
    match rule.how:
        case "reversed":
            return entries[::-1]
        case "fewer":
            return entries[:-1]
        case "more":
            return [*entries, *entries[-1:]]
        case "none":
            return []
        case "no_ids":
            return [{k: v for k, v in entry.items() if k not in {"message_id", "to"}} for entry in entries]
        case "one_per_recipient":
            return _entries(request_id, judged, switches.changed({"entries": "recipient"}))


def _entries(request_id: str, judged: Sequence[Judged], switches: Switches) -> list[dict[str, Any]]:
    if switches.entries == "none":
        return []
    entries = []
    for one in judged:
        named = one.recipients if switches.entries == "recipient" else one.recipients[:1]
        entries += [_entry(request_id, one, recipient, switches) for recipient in named]
    return entries if switches.entry_order == "request" else entries[::-1]


def _entry(request_id: str, one: Judged, recipient: str, switches: Switches) -> dict[str, Any]:
    entry: dict[str, Any] = {"error_code": one.error_code, "message": "OK", "request_id": request_id}
    if one.error_code:
        entry |= {"message": "Refused by a fault rule.", "error": "refused"}
    elif switches.message_ids:
        entry["message_id"] = one.message_id
    if not one.error_code:
        entry["submitted_at"] = one.submitted_at
    if switches.entry_to:
        entry["to"] = recipient
    if switches.suppression_summary == "entry":
        entry["suppression_summary"] = summary_of([one])
    return entry


def summary_of(judged: Sequence[Judged]) -> dict[str, Any]:
    """`status` and its value are documented; the other fields are ASSUMED."""
    recipients = sum(len(one.recipients) for one in judged)
    suppressed = sum(one.suppressed for one in judged)
    return {"status": "checked", "accepted_recipients": recipients - suppressed, "suppressed_recipients": suppressed}
