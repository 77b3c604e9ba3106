"""What an HTTP answer of the Send API means: for the request as a whole, and for each submission in it.

In: status, headers, body; who the submissions are for. Out: `Verdict`. Never: I/O, or a guess that destroys mail.

The documentation gives the shapes of a 202 and of an error (API pages responses-pagination, errors-retries, send). It does not say that
entries come in the order of the submissions, nor that there is one each. So an entry is matched only by what it says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import orjson

from qboxrelay.model.outcome import Deferred, Outcome, Refused, Unknown
from qboxrelay.model.value import value
from qboxrelay.qboxmail.entries import match_entries

_QUOTA = re.compile(r"quota|credit|prepaid|daily|monthly|yearly|plan\b", re.IGNORECASE)
_RATE = re.compile(r"per second|too many requests|rate[ _-]?limit", re.IGNORECASE)
_MAX_DIGITS = 9
_MAX_TEXT = 500
_KINDS = (
    "it wants a Send API token of a Delivery account; a Management API token of a Qboxmail user is another kind, "
    "and neither opens the other's API"
)
_GATEWAY = {502, 504}
"""The request reached a gateway, and what was behind it may have taken it."""


class Effect(StrEnum):
    """What a request's answer means beyond the submissions in it."""

    NONE = "none"
    BISECT = "bisect"
    """One of several is refused, nobody knows which: send the halves alone."""
    SMALLER = "smaller"
    """The request was too large, in bytes or for the quota: send less at a time."""
    CONFIGURATION = "configuration"
    """Token, host or account are not right: the account pauses."""
    RATE = "rate"
    QUOTA = "quota"
    """Not even one message fits the quota: the account pauses."""
    TROUBLE = "trouble"
    """The API or the way to it is not well: the breaker counts it."""


@value(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: `status` and headers (lower-case names), the body up to a limit, and how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    connect_seconds: float | None = None
    answer_seconds: float | None = None


@value(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`outcomes` has one for each submission, in their order."""

    outcomes: tuple[Outcome, ...]
    effect: Effect = Effect.NONE
    status: int | None = None
    request_id: str | None = None
    error: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Error:
    """The fields of the API's error body, as far as they are there; `readable` when it is one."""

    slug: str | None
    text: str
    request_id: str | None
    readable: bool


def read_answer(answer: Answer, recipients: Sequence[Sequence[str]], now: datetime) -> Verdict:
    """Judge an answer to a request with these submissions, given by their recipients' addresses."""
    count = len(recipients)
    if 200 <= answer.status < 300:
        return _read_success(answer, recipients)
    error = _read_error(answer)
    if answer.status in {400, 422} and (error.readable or (answer.status == 400 and not _is_page(answer))):
        return _read_refusal(answer, error, count, Effect.BISECT)
    if answer.status == 413:
        return _read_refusal(answer, error, count, Effect.SMALLER)
    if answer.status in {401, 403, 404, 405, 407} or 300 <= answer.status < 400:
        return _all_deferred(answer, _explained(answer, error), count, Effect.CONFIGURATION, counted=False)
    if answer.status == 429:
        return _read_limit(answer, error, count, now)
    if answer.status in _GATEWAY:
        return _read_gateway(answer, error, count)
    return _all_deferred(
        answer, error, count, Effect.TROUBLE, counted=True, retry_after=retry_after(answer.headers, now)
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Retry-After in seconds or as a date (RFC 9110 §10.2.3); None when it is missing or makes no sense.

    A date is by the API's clock, so that it is seen from the answer's own Date where there is one: either clock may be wrong.
    """
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        # Python refuses to read very long numbers, and timedelta to hold them.
        return timedelta(seconds=int(value) if len(value) <= _MAX_DIGITS else 10**_MAX_DIGITS)
    moment = _moment(value)
    return None if moment is None else max(timedelta(), moment - (_moment(headers.get("date", "")) or now))


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_success(answer: Answer, recipients: Sequence[Sequence[str]]) -> Verdict:
    body = _as_object(answer.body)
    if not _is_acceptance(body):
        text = "a 2xx answer that is not the Send API's: the body is not its JSON"
        unknown = Unknown(reason="unreadable", text=text, status=answer.status)
        return Verdict(
            outcomes=(unknown,) * len(recipients),
            effect=Effect.TROUBLE,
            status=answer.status,
            error="unreadable",
            text=text,
        )
    request_id = _text(body.get("request_id"))
    entries = body.get("messages")
    outcomes = match_entries(entries if isinstance(entries, list) else [], recipients, request_id, body)
    return Verdict(
        outcomes=outcomes, status=answer.status, request_id=request_id, text=_text(body.get("message")) or ""
    )


def _is_acceptance(body: dict[str, Any]) -> bool:
    """A captive portal answers 200, too: without a word of the API's own, nothing is known to be accepted."""
    known = (
        isinstance(body.get("messages"), list) or isinstance(body.get("request_id"), str) or "queued_messages" in body
    )
    return known and body.get("error_code") in (None, 0, "0", "")


def _read_refusal(answer: Answer, error: _Error, count: int, effect: Effect) -> Verdict:
    if count > 1:
        outcome: Outcome = _deferred(answer, error, counted=False)
    else:
        outcome, effect = (
            Refused(status=answer.status, text=error.text, error=error.slug, request_id=error.request_id),
            Effect.NONE,
        )
    return _verdict(answer, error, (outcome,) * count, effect)


def _read_limit(answer: Answer, error: _Error, count: int, now: datetime) -> Verdict:
    """429 is the rate or the quota (API page limits-quotas-suppression); quota is reserved for a request as a whole."""
    wait = retry_after(answer.headers, now)
    # The slug says more than a sentence, where it says something.
    words = next((text for text in (error.slug or "", error.text) if _QUOTA.search(text) or _RATE.search(text)), "")
    quota = bool(_QUOTA.search(words))
    effect = Effect.RATE if not quota else Effect.SMALLER if count > 1 else Effect.QUOTA
    reason = "quota" if quota else "rate"
    outcome = _deferred(answer, error, counted=False, reason=reason, wait=wait)
    return _verdict(answer, error, (outcome,) * count, effect)


def _read_gateway(answer: Answer, error: _Error, count: int) -> Verdict:
    """A gateway had no answer from behind it, after it had the whole request: no better than no answer of our own."""
    outcome = Unknown(
        reason=f"http_{answer.status}", text=error.text, status=answer.status, request_id=error.request_id
    )
    return _verdict(answer, error, (outcome,) * count, Effect.TROUBLE)


def _all_deferred(
    answer: Answer, error: _Error, count: int, effect: Effect, *, counted: bool, retry_after: timedelta | None = None
) -> Verdict:
    outcome = _deferred(answer, error, counted=counted, wait=retry_after)
    return _verdict(answer, error, (outcome,) * count, effect)


def _deferred(
    answer: Answer, error: _Error, *, counted: bool, reason: str | None = None, wait: timedelta | None = None
) -> Deferred:
    return Deferred(
        reason=reason or f"http_{answer.status}",
        text=error.text,
        counted=counted,
        status=answer.status,
        error=error.slug,
        request_id=error.request_id,
        retry_after=wait,
    )


def _verdict(answer: Answer, error: _Error, outcomes: tuple[Outcome, ...], effect: Effect) -> Verdict:
    return Verdict(
        outcomes=outcomes,
        effect=effect,
        status=answer.status,
        request_id=error.request_id,
        error=error.slug,
        text=error.text,
    )


def _read_error(answer: Answer) -> _Error:
    body = _as_object(answer.body)
    slug, message = _text(body.get("error")), _text(body.get("message"))
    text = message or slug or f"HTTP status {answer.status} without an error of the Send API"
    return _Error(slug, text[:_MAX_TEXT], _text(body.get("request_id")), readable=bool(slug or message))


def _explained(answer: Answer, error: _Error) -> _Error:
    """401 with what nobody guesses from the API's words: there are two kinds of token (API page authentication)."""
    return replace(error, text=f"{error.text} ({_KINDS})") if answer.status == 401 else error


def _is_page(answer: Answer) -> bool:
    """A gateway's page, not the API's word: its 400 says nothing of the mail."""
    return "html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == b"<"


def _as_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
