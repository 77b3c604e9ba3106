"""What an attempt came to: exactly one of four.

In: what reading the API's answer found. Out: frozen values to be matched exhaustively. Never: an exception; a surprise is
`Deferred` or `Unknown`, so that a status nobody foresaw cannot destroy mail.
"""

from datetime import timedelta

from qboxrelay.model.value import value


@value(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The API queued it (202). `message_id` and `submitted_at` are None when entries could not be matched to submissions."""

    request_id: str | None
    message_id: str | None = None
    submitted_at: str | None = None
    suppression: str | None = None
    """The suppression pre-check as the API gave it, as JSON text; an estimate, not a delivery result."""


@value(frozen=True, slots=True, kw_only=True)
class Refused:
    """The API will never take it. `status` is the HTTP status or the entry's error_code; `error` the API's slug; `text` its words."""

    status: int
    text: str
    error: str | None = None
    request_id: str | None = None


@value(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Not accepted now, try again. `counted` is False where the mail is not to blame: rate, quota, token."""

    reason: str
    """One of a closed set of words, for metrics: `connect`, `http_503`, `rate`, `quota`, `auth`, …"""
    text: str
    counted: bool = True
    status: int | None = None
    error: str | None = None
    request_id: str | None = None
    retry_after: timedelta | None = None


@value(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The body went out and no readable answer came: the API may or may not have it."""

    reason: str
    text: str
    status: int | None = None
    request_id: str | None = None
    hold: bool = False
    """True where trying again would surely duplicate a part of it: an operator decides, whatever the setting says."""


Outcome = Accepted | Refused | Deferred | Unknown
