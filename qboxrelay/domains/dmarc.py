"""DMARC: whether there is a policy that receivers can read, and whether mail of the Delivery domain can pass it (RFC 7489).

In: the domain of From, the Delivery domain that signs. Out: `RecordCheck`. Never: a list of public suffixes: a policy is looked for at the
domain and then at each parent but the last label, which finds the organizational domain wherever it publishes a policy.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from qboxrelay.domains.asking import Asking
from qboxrelay.domains.stub import Lookup, Status
from qboxrelay.domains.tags import parse_tags
from qboxrelay.model.sender_domain import RecordCheck, RecordVerdict

_POLICIES = {"none", "quarantine", "reject"}
_ALIGNMENTS = {"r", "s"}
_MAX_STEPS = 8
_PERCENT = re.compile(r"[0-9]{1,2}|100")
_MAILBOX_URI = re.compile(r"mailto:[^\s@,!]+@[^\s@,!]+(![0-9]+[kmgt]?)?", re.IGNORECASE)


async def check_dmarc(asking: Asking, from_domain: str, delivery_domain: str, suggested: str) -> RecordCheck:
    """`suggested` is the record that the Management API suggests, perhaps empty. Good advice, not required."""
    place, found = await _nearest(asking, from_domain)
    records = _records(found)
    check = RecordCheck(
        kind="dmarc",
        name=place,
        verdict=RecordVerdict.OK,
        expected="a DMARC policy",
        found=" | ".join(records) or found.why,
        required=False,
        secure=found.secure,
    )
    if found.status is Status.UNKNOWN:
        return replace(check, verdict=RecordVerdict.UNKNOWN)
    if not records:
        advice = f'publish TXT at _dmarc.{delivery_domain}: "{suggested or "v=DMARC1; p=none"}"'
        return replace(check, name=f"_dmarc.{from_domain}", verdict=RecordVerdict.MISSING, advice=advice)
    fault = "publish one record only" if len(records) > 1 else _fault(parse_tags(records[0]))
    fault = fault or _misaligned(parse_tags(records[0]), from_domain, delivery_domain)
    return replace(check, verdict=RecordVerdict.WRONG, advice=fault) if fault else check


async def _nearest(asking: Asking, domain: str) -> tuple[str, Lookup]:
    """The record of the domain itself, else of the nearest parent that has one. Of a name with very many labels the ones in the middle are
    left out, not the organizational domain.
    """
    labels = domain.split(".")
    first: tuple[str, Lookup] | None = None
    parents = range(max(1, len(labels) - _MAX_STEPS + 1), len(labels) - 1)
    for start in (0, *parents):
        name = "_dmarc." + ".".join(labels[start:])
        found = await asking.txt(name)
        if found.status is Status.UNKNOWN or _records(found):
            return name, found
        first = first or (name, found)
    assert first is not None
    return first


def _records(found: Lookup) -> list[str]:
    """RFC 7489 §6.6.3: those that begin with the version; other TXT records there do not count."""
    return [value for value in found.values if value.split(";")[0].replace(" ", "") == "v=DMARC1"]


def _fault(tags: dict[str, str]) -> str:
    """The first thing that is wrong with the record itself."""
    if "p" not in tags:
        return "it has no p=: receivers ignore it; write p=none, p=quarantine or p=reject"
    return next(
        (f"{tag}= must be {wanted}" for tag, is_right, wanted in _RULES if tag in tags and not is_right(tags[tag])), ""
    )


def _are_addresses(value: str) -> bool:
    return all(_MAILBOX_URI.fullmatch(place.strip()) for place in value.split(","))


_POLICY = (lambda value: value.lower() in _POLICIES, "none, quarantine or reject")
_ALIGNMENT = (lambda value: value.lower() in _ALIGNMENTS, "r or s")
_ADDRESSES = (_are_addresses, "addresses such as mailto:dmarc@example.com, with commas between")
_RULES: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("p", *_POLICY),
    ("sp", *_POLICY),
    ("adkim", *_ALIGNMENT),
    ("aspf", *_ALIGNMENT),
    ("pct", _PERCENT.fullmatch, "a number from 0 to 100"),
    ("rua", *_ADDRESSES),
    ("ruf", *_ADDRESSES),
)
"""RFC 7489 §6.3: tag, whether a value is right, what it must be."""


def _misaligned(tags: dict[str, str], from_domain: str, delivery_domain: str) -> str:
    """Mail is signed for the Delivery domain: that is the From domain itself, or with subdomains a parent of it (RFC 7489 §3.1.1)."""
    if from_domain != delivery_domain and tags.get("adkim", "r").lower() == "s":
        return f"adkim=s lets only {from_domain} sign, and mail is signed for {delivery_domain}: write adkim=r"
    return ""
