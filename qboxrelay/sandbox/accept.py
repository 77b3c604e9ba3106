"""Acceptance: messages go into the ledger, quota is spent.

In: an account, messages that nothing stopped. Out: what became of each. Never: a message twice, or one that a rule refuses.
"""

import time
import uuid
from typing import Any

from qboxrelay.sandbox.accounts import Account
from qboxrelay.sandbox.addresses import domain_of, read_mailbox
from qboxrelay.sandbox.answers import now_text
from qboxrelay.sandbox.check import recipients_of
from qboxrelay.sandbox.entries import Judged
from qboxrelay.sandbox.faults import Rule
from qboxrelay.sandbox.ledger import Received, Seen
from qboxrelay.sandbox.limits import suppressed_of
from qboxrelay.sandbox.state import State


def accept(state: State, account: Account, seen: Seen, messages: list[Any], rule: Rule | None) -> list[Judged]:
    """Queue the messages, but for those that a rule with the action `partial` refuses."""
    now, at = time.time(), now_text()
    judged = []
    for position, message in enumerate(messages):
        recipients = tuple(recipients_of(message))
        one = Judged(
            recipients=recipients,
            message_id=_message_id(message, keep=state.switches.keep_message_id),
            submitted_at=at,
            error_code=rule.error_code if rule is not None and _refuses(rule, position, message) else 0,
            suppressed=len(suppressed_of(state, account, recipients)),
        )
        judged.append(one)
        if not one.error_code:
            seen.accepted_messages += 1
            state.ledger.keep(
                Received(
                    number=state.ledger.next_number(),
                    request_id=seen.request_id,
                    message_id=one.message_id,
                    account=account.id,
                    position=position,
                    received_at=now,
                    size=seen.bytes // len(messages),
                    message=message,
                )
            )
    seen.accepted = seen.accepted_messages > 0
    state.spend(account.id, seen.accepted_messages)
    return judged


def _refuses(rule: Rule, position: int, message: object) -> bool:
    if rule.action != "partial":
        return False
    return position in rule.refuse if rule.refuse else rule.looks_at_messages() and rule.picks(message)


def _message_id(message: dict[str, Any], *, keep: bool) -> str:
    """The documented form, `uuid@domain`, unless the one that was handed in is kept."""
    headers = (message.get("headers") or {}) if keep else {}
    given = next((str(value) for name, value in headers.items() if name.lower() == "message-id"), "")
    return given.strip("<> ") or f"{uuid.uuid4()}@{domain_of(read_mailbox(message['from']) or '')}"
