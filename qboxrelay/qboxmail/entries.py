"""Which entry of a 202's `messages[]` speaks of which submission.

In: the entries as decoded, the recipients of each submission. Out: one outcome for each submission. Never: a match by position:
the documentation does not say that entries come in the order of the request, so a match is made only by what an entry says.

- One submission in the request: every entry is its own.
- Several: an entry whose `to` is among the recipients of exactly one submission is that submission's.
- A message_id that would be two submissions' is nobody's.
- An entry that refuses (non-zero `error_code`) and cannot be matched: each submission that it may speak of is held for an operator,
  unless entries of its own say that it was accepted. Calling it sent could lose it; sending it again would duplicate the others.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from email.utils import getaddresses
from typing import Any

import orjson

from qboxrelay.model.outcome import Accepted, Deferred, Outcome, Refused, Unknown
from qboxrelay.model.value import value

_PLAIN = re.compile(r"[^\s<>()\[\],;:\\\"@]+@[A-Za-z0-9.-]+")
"""An address without a name or anything else to take apart: nearly all of them."""
_NOBODYS = -1
"""The place of an address that stands in several submissions, or in none."""
_TEMPORARY = {401, 403, 408, 429}
"""Codes that blame the account or the moment, not the message."""


def match_entries(
    entries: Sequence[Any], recipients: Sequence[Sequence[str]], request_id: str | None, body: dict[str, Any]
) -> tuple[Outcome, ...]:
    """One outcome for each submission of an accepted request."""
    sole = _sole_entries(entries, recipients) if request_id and len(recipients) > 1 else None
    if request_id and sole is not None:
        return _all_accepted(sole, request_id, body.get("suppression_summary"))
    known = [_Entry(entry, _addresses(entry.get("to"))) for entry in entries if isinstance(entry, dict)]
    folded = [frozenset(address.casefold() for address in addresses) for addresses in recipients]
    owned, doubtful = _owners(known, folded)
    summary = body.get("suppression_summary")
    one_each = len(known) == len(recipients)
    outcomes: list[Outcome] = []
    for place, addresses in enumerate(folded):
        mine = owned[place]
        settled = (one_each and len(mine) == 1) or frozenset[str]().union(*(entry.to for entry in mine)) >= addresses
        fields = [entry.fields for entry in mine]
        outcomes.append(_outcome(fields, request_id, summary, doubtful=place in doubtful and not settled))
    return _without_shared_ids(outcomes)


def _sole_entries(entries: Sequence[Any], recipients: Sequence[Sequence[str]]) -> list[dict[str, Any] | None] | None:
    """For each submission of several the only entry that is surely its own, or None where there is none: the usual answer in one pass, at a
    fifth of what the general way takes. None for an answer with a refusal, a `to` that is not one bare address, or two entries of one submission.
    """
    places = _sole_places(recipients)
    sole: list[dict[str, Any] | None] = [None] * len(recipients)
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("error_code"):
            return None
        to = entry.get("to")
        if not isinstance(to, str) or _PLAIN.fullmatch(to) is None:
            return None
        place = places.get(to.casefold(), _NOBODYS)
        if place != _NOBODYS:
            if sole[place] is not None:
                return None
            sole[place] = entry
    return sole


def _sole_places(recipients: Sequence[Sequence[str]]) -> dict[str, int]:
    """The submission of each address, where it is one."""
    places: dict[str, int] = {}
    for place, addresses in enumerate(recipients):
        for address in addresses:
            folded = address.casefold()
            if places.setdefault(folded, place) != place:
                places[folded] = _NOBODYS
    return places


def _all_accepted(sole: Sequence[dict[str, Any] | None], request_id: str, summary: object) -> tuple[Outcome, ...]:
    shared = orjson.dumps(summary).decode() if summary else None
    without = Accepted(request_id=request_id, suppression=shared)
    outcomes = [without if entry is None else _accepted(entry, request_id, shared) for entry in sole]
    ids = [outcome.message_id for outcome in outcomes if outcome.message_id is not None]
    return tuple(outcomes) if len(set(ids)) == len(ids) else _without_shared_ids(outcomes)


def _accepted(entry: dict[str, Any], request_id: str, shared: str | None) -> Accepted:
    message_id, submitted_at, own = entry.get("message_id"), entry.get("submitted_at"), entry.get("suppression_summary")
    return Accepted(
        request_id=request_id,
        message_id=str(message_id) if message_id else None,
        submitted_at=str(submitted_at) if submitted_at else None,
        suppression=orjson.dumps(own).decode() if own else shared,
    )


@value(frozen=True, slots=True)
class _Entry:
    fields: dict[str, Any]
    to: frozenset[str]


def _owners(entries: Sequence[_Entry], recipients: Sequence[frozenset[str]]) -> tuple[list[list[_Entry]], set[int]]:
    """For each submission the entries that are surely its own; and the places of those that a stray refusal may mean."""
    places = _places(recipients)
    owned: list[list[_Entry]] = [[] for _ in recipients]
    doubtful: set[int] = set()
    for entry in entries:
        found = _named(entry, places) if len(recipients) > 1 else {0}
        if len(found) == 1:
            owned[next(iter(found))].append(entry)
        elif _code(entry.fields):
            doubtful |= found or set(range(len(recipients)))
    return owned, doubtful


def _places(recipients: Sequence[frozenset[str]]) -> dict[str, set[int]]:
    places: dict[str, set[int]] = {}
    for place, addresses in enumerate(recipients):
        for address in addresses:
            places.setdefault(address, set()).add(place)
    return places


def _named(entry: _Entry, places: dict[str, set[int]]) -> set[int]:
    """The submissions that have all the recipients that the entry names; none when it names none."""
    sets = [places.get(address, set()) for address in entry.to]
    if len(sets) == 1:
        # Not copied: everything may go to one address, and each entry would copy the whole request.
        return sets[0]
    return set.intersection(*sets) if sets else set()


def _without_shared_ids(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """An id stands for one message: one that came twice was matched wrongly at least once."""
    times = Counter(outcome.message_id for outcome in outcomes if isinstance(outcome, Accepted))
    return tuple(
        replace(outcome, message_id=None)
        if isinstance(outcome, Accepted) and times[outcome.message_id] > 1
        else outcome
        for outcome in outcomes
    )


def _addresses(to: object) -> frozenset[str]:
    """The addresses of an entry's `to`: a string in the published example, a list or objects to be lenient."""
    items = to if isinstance(to, list) else [to]
    texts = [item.get("address") if isinstance(item, dict) else item for item in items]
    found: set[str] = set()
    for text in texts:
        if isinstance(text, str):
            found.update([text] if _PLAIN.fullmatch(text) else (address for _, address in getaddresses([text])))
    return frozenset(address.casefold() for address in found if address)


def _outcome(entries: Sequence[dict[str, Any]], request_id: str | None, summary: object, *, doubtful: bool) -> Outcome:
    refusals = [entry for entry in entries if _code(entry)]
    if refusals and len(refusals) == len(entries) and not doubtful:
        return _refusal(refusals[0], request_id)
    if refusals or doubtful:
        text = "the API refused a part of the request without saying clearly which: see its request_id in the API's log"
        return Unknown(reason="partly_refused", text=text, status=202, request_id=request_id, hold=True)
    ids = [str(entry["message_id"]) for entry in entries if entry.get("message_id")]
    submitted = next((str(entry["submitted_at"]) for entry in entries if entry.get("submitted_at")), None)
    own = next((entry["suppression_summary"] for entry in entries if entry.get("suppression_summary")), summary)
    return Accepted(
        request_id=request_id or next((str(e["request_id"]) for e in entries if e.get("request_id")), None),
        message_id=", ".join(dict.fromkeys(ids)) or None,
        submitted_at=submitted,
        suppression=orjson.dumps(own).decode() if own else None,
    )


def _refusal(entry: dict[str, Any], request_id: str | None) -> Outcome:
    code = _code(entry)
    text = str(entry.get("message") or entry.get("error") or f"error_code {code}")[:500]
    slug = str(entry["error"]) if entry.get("error") else None
    own_id = str(entry["request_id"]) if entry.get("request_id") else request_id
    if code in _TEMPORARY or code >= 500:
        return Deferred(reason="entry", text=text, status=code, error=slug, request_id=own_id)
    return Refused(status=code, text=text, error=slug, request_id=own_id)


def _code(entry: dict[str, Any]) -> int:
    """An entry's error_code; 0 is success, and so is its absence."""
    code = entry.get("error_code")
    try:
        return int(code) if code else 0
    except (TypeError, ValueError, OverflowError):
        return 400
