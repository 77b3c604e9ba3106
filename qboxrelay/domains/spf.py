"""SPF: whether a domain's record lets send whom it shall (RFC 7208), and whether receivers can use it at all.

In: a domain and the record that is asked for. Out: `RecordCheck`. Never: a verdict on a part that DNS did not tell.
"""

from dataclasses import dataclass, field, replace

from qboxrelay.domains.asking import Asking
from qboxrelay.domains.spf_record import SpfError, Term, asked_terms, parse_terms, spf_records
from qboxrelay.domains.stub import Status
from qboxrelay.model.sender_domain import RecordCheck, RecordVerdict

MAX_LOOKUPS = 10
"""RFC 7208 §4.6.4; also of the addresses of one `mx`."""
MAX_VOID_LOOKUPS = 2
"""RFC 7208 §4.6.4: those that find nothing."""


@dataclass(slots=True)
class _Walk:
    """What following a record has found."""

    lookups: int = 0
    void: int = 0
    granted: set[tuple[str, str]] = field(default_factory=set)
    """Who may send, wherever it stands."""
    unknown: list[str] = field(default_factory=list)


async def check_spf(asking: Asking, domain: str, suggested: str) -> RecordCheck:
    """`suggested` is the record that is asked for; empty: any valid one will do, and none is required."""
    asked = asked_terms(suggested)
    found = await asking.txt(domain)
    records = spf_records(found.values)
    check = RecordCheck(
        kind="spf",
        name=domain,
        verdict=RecordVerdict.UNKNOWN,
        expected=f"one SPF record with {' '.join(map(_shown, asked))}" if asked else "one valid SPF record",
        found=" | ".join(records) or found.why,
        required=bool(asked),
        secure=found.secure,
    )
    if found.status is Status.UNKNOWN:
        return check
    if not records:
        advice = f'publish TXT at {domain}: "{suggested or "v=spf1 … ~all"}"'
        return replace(check, verdict=RecordVerdict.MISSING, advice=advice)
    if len(records) > 1:
        advice = "publish one SPF record only: receivers use none of several (RFC 7208 §4.5)"
        return replace(check, verdict=RecordVerdict.WRONG, advice=advice)
    walk = _Walk()
    try:
        await _visit(asking, domain, records[0], walk, granting=True)
    except SpfError as error:
        return replace(check, verdict=RecordVerdict.WRONG, advice=f"receivers cannot use this record: {error}")
    missing = [term for term in asked if _key(term, domain) not in walk.granted]
    return _judged(check, walk, records[0], missing)


def _judged(check: RecordCheck, walk: _Walk, record: str, missing: list[Term]) -> RecordCheck:
    if walk.unknown:
        return replace(check, found=f"{record} ({'; '.join(walk.unknown)})")
    if missing:
        return replace(check, verdict=RecordVerdict.WRONG, advice=f'publish instead: "{_with(record, missing)}"')
    shown = f"{record} ({walk.lookups} of {MAX_LOOKUPS} lookups)"
    return replace(check, verdict=RecordVerdict.OK, found=shown)


async def _visit(asking: Asking, domain: str, record: str, walk: _Walk, *, granting: bool) -> None:
    """Count what a receiver looks up that finds no match, and collect who may send. Raises `SpfError`."""
    for term in parse_terms(record):
        if term.costs_lookup:
            walk.lookups += 1
            if walk.lookups > MAX_LOOKUPS:
                raise SpfError(f"it costs more than {MAX_LOOKUPS} lookups (RFC 7208 §4.6.4): include less")
        grants = granting and term.passes
        if grants:
            walk.granted.add(_key(term, domain))
        if term.policy:
            await _enter(asking, term, walk, granting=grants)
        elif term.name in {"a", "mx", "exists"} and not term.needs_mail:
            await _probe(asking, term, domain, walk)


async def _enter(asking: Asking, term: Term, walk: _Walk, *, granting: bool) -> None:
    found = await asking.txt(term.policy)
    records = spf_records(found.values)
    if found.status is Status.UNKNOWN:
        walk.unknown.append(f"{term.policy}: {found.why}")
    elif len(records) != 1:
        # RFC 7208 §5.2 and §6.1: permerror.
        raise SpfError(f"{_shown(term)} leads to {'several SPF records' if records else 'no SPF record'}")
    else:
        await _visit(asking, term.policy, records[0], walk, granting=granting)


async def _probe(asking: Asking, term: Term, domain: str, walk: _Walk) -> None:
    """Whether the names that it looks up are there. An `a` is void for sure when it has neither kind of address."""
    kinds = {"a": ("A", "AAAA"), "mx": ("MX",), "exists": ("A",)}[term.name]
    found = [await asking.lookup(term.host or domain, kind) for kind in kinds]
    if any(one.status is Status.UNKNOWN for one in found):
        # What nobody knows is not counted: the record works without it, as far as anybody can tell.
        return
    values = [value for one in found for value in one.values]
    if term.name == "mx" and len(values) > MAX_LOOKUPS:
        raise SpfError(f"{_shown(term)} has more than {MAX_LOOKUPS} hosts (RFC 7208 §4.6.4)")
    walk.void += not values
    if walk.void > MAX_VOID_LOOKUPS:
        raise SpfError(
            f"more than {MAX_VOID_LOOKUPS} of its names do not exist, the last is {term.host or domain} (RFC 7208 §4.6.4)"
        )


def _key(term: Term, domain: str) -> tuple[str, str]:
    """Including a domain's record and redirecting to it come to the same for who may send."""
    return ("policy" if term.policy else term.name), (term.target or domain)


def _shown(term: Term) -> str:
    separator = "=" if term.name == "redirect" else ":"
    return f"{term.name}{separator}{term.target}" if term.target else term.name


def _with(record: str, missing: list[Term]) -> str:
    """The record with what is missing at its front, where no `all` hides it."""
    version, _, rest = record.partition(" ")
    return " ".join([version, *(_shown(term).replace("redirect=", "include:") for term in missing), rest]).strip()
