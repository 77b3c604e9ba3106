"""Errors of the Send API: which there are, and how each looks.

In: a kind of error. Out: status and body as documented (API page errors-retries). Never: an undocumented status or slug that could not
be switched: `missing_send_payload`, 401 and 429 are documented, everything else in the table is ASSUMED.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "missing_send_payload",
    "invalid_json",
    "invalid_message",
    "too_many_messages",
    "payload_too_large",
    "unauthorized",
    "ip_not_allowed",
    "account_disabled",
    "sender_domain",
    "suppressed",
    "rate_limited",
    "quota_exceeded",
]

KINDS: tuple[Kind, ...] = get_args(Kind)

_STATUS: dict[Kind, int] = {
    "payload_too_large": 413,
    "unauthorized": 401,
    "ip_not_allowed": 403,
    "account_disabled": 403,
    "rate_limited": 429,
    "quota_exceeded": 429,
}


def default_status(kind: Kind) -> int:
    return _STATUS.get(kind, 400)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused; the text is for people and never repeats content of a mail."""

    kind: Kind
    text: str
