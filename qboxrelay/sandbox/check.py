"""What the Send API asks of a message (API page send), checked.

In: one message of the decoded request body. Out: None, or what is wrong with it. Never: a rule that is neither documented nor a switch.
"""

from typing import Any

from qboxrelay.sandbox.addresses import read_addresses, read_mailbox
from qboxrelay.sandbox.attachments import check_attachments
from qboxrelay.sandbox.headers import check_headers
from qboxrelay.sandbox.switches import Switches

_LISTS = ("to", "cc", "bcc", "reply_to")
_RECIPIENTS = ("to", "cc", "bcc")
_FIELDS = {"from", *_LISTS, "subject", "text_body", "html_body", "headers", "attachments"}


def recipients_of(message: dict[str, Any]) -> list[str]:
    """Everyone who gets a message that passed the checks."""
    return [address for field in _RECIPIENTS if message.get(field) for address in read_addresses(message[field]) or ()]


def check_message(message: object, switches: Switches) -> str | None:
    if not isinstance(message, dict):
        return "is not an object"
    if switches.nulls:
        message = {name: value for name, value in message.items() if value is not None}
    if not switches.unknown_fields and not message.keys() <= _FIELDS:
        return "has a field that is not documented"
    return (
        _check_addresses(message, switches)
        or _check_recipients(message, switches)
        or _check_content(message, switches)
        or check_headers(message.get("headers", {}), switches)
        or check_attachments(message.get("attachments", []), switches)
    )


def _check_addresses(message: dict[str, Any], switches: Switches) -> str | None:
    if read_mailbox(message.get("from"), unknown_fields=switches.unknown_fields) is None:
        return "`from` must be one mailbox"
    for field in _LISTS:
        if field not in message:
            continue
        found = read_addresses(message[field], unknown_fields=switches.unknown_fields)
        if found is None or not (found or switches.empty_lists):
            return f"`{field}` is not a list of mailboxes"
    return None


def _check_recipients(message: dict[str, Any], switches: Switches) -> str | None:
    if not (message.get("to") or message.get("cc") or (switches.bcc_only and message.get("bcc"))):
        return "no recipient in `to` or `cc`"
    found = recipients_of(message)
    if switches.max_recipients is not None and len(found) > switches.max_recipients:
        return f"more than {switches.max_recipients} recipients"
    if not switches.non_ascii_addresses and not all(address.isascii() for address in found):
        return "a recipient is not ASCII"
    return None


def _check_content(message: dict[str, Any], switches: Switches) -> str | None:
    subject = message.get("subject")
    if not isinstance(subject, str) or not (subject or switches.empty_subject):
        return "`subject` is required"
    bodies = [message[field] for field in ("text_body", "html_body") if field in message]
    if not bodies:
        return "`text_body` or `html_body` is required"
    if not all(isinstance(body, str) and (body or switches.empty_body) for body in bodies):
        return "a body must be a text"
    if not switches.nul_characters and any("\0" in text for text in (subject, *bodies)):
        return "NUL in `subject` or a body"
    return None
