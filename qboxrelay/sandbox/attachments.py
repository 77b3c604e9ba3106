"""Attachments of a message (API page send): required fields, Base64, and when one is inline.

In: the decoded `attachments`. Out: None, or what is wrong. Never: a decoded copy that is kept.
"""

import binascii
from typing import Any

from qboxrelay.sandbox.switches import Switches

_FIELDS = {"filename", "content_type", "content", "disposition", "content_id"}


def check_attachments(attachments: object, switches: Switches) -> str | None:
    if not isinstance(attachments, list):
        return "`attachments` must be an array"
    for number, attachment in enumerate(attachments):
        problem = _check(attachment, switches)
        if problem is not None:
            return f"attachments[{number}]: {problem}"
    return None


def disposition_of(attachment: dict[str, Any]) -> str:
    """`inline` is the default when a `content_id` is given, else `attachment`."""
    return str(attachment.get("disposition") or ("inline" if attachment.get("content_id") else "attachment"))


def _check(attachment: object, switches: Switches) -> str | None:
    if not isinstance(attachment, dict):
        return "is not an object"
    if switches.nulls:
        attachment = {name: value for name, value in attachment.items() if value is not None}
    if not switches.unknown_fields and not attachment.keys() <= _FIELDS:
        return "has a field that is not documented"
    for field in ("filename", "content_type", "content"):
        if not isinstance(attachment.get(field), str) or (field != "content" and not attachment[field]):
            return f"`{field}` is required"
    return _check_disposition(attachment) or _check_base64(attachment["content"])


def _check_disposition(attachment: dict[str, Any]) -> str | None:
    content_id = attachment.get("content_id")
    if "content_id" in attachment and not (isinstance(content_id, str) and content_id):
        return "`content_id` must be a text"
    if attachment.get("disposition") not in {None, "attachment", "inline"}:
        return "`disposition` is attachment or inline"
    if attachment.get("disposition") == "inline" and not content_id:
        return "`content_id` is required for inline"
    if content_id and disposition_of(attachment) != "inline":
        return "`disposition` must be inline when `content_id` is given"
    return None


def _check_base64(content: str) -> str | None:
    try:
        binascii.a2b_base64(content, strict_mode=True)
    except ValueError:
        return "`content` is not Base64"
    return None
