"""DKIM: the delegated names, and the keys that are to be found at the selectors (RFC 6376 §3.6).

In: what the Management API or the configuration names. Out: `RecordCheck`s. Never: a signature's check; that is the receivers'.
"""

import binascii
from dataclasses import replace

from qboxrelay.domains.asking import Asking
from qboxrelay.domains.stub import Lookup, Status
from qboxrelay.domains.tags import parse_tags
from qboxrelay.model.sender_domain import RecordCheck, RecordVerdict

_MAX_CHAIN = 8


async def check_cname(asking: Asking, name: str, target: str) -> RecordCheck:
    """The name must lead to the target, perhaps over other names."""
    way: list[str] = []
    found = await asking.lookup(name, "CNAME")
    first = found
    while found.values and target not in way and len(way) < _MAX_CHAIN:
        way.append(found.values[0])
        if way[-1] != target:
            found = await asking.lookup(way[-1], "CNAME")
    check = RecordCheck(
        kind="cname",
        name=name,
        verdict=RecordVerdict.OK,
        expected=f"CNAME {target}",
        found=" → ".join(way) or first.why,
        secure=first.secure,
    )
    if target in way:
        return check
    if Status.UNKNOWN in {found.status, first.status}:
        return replace(check, verdict=RecordVerdict.UNKNOWN, found=" → ".join([*way, f"({found.why})"]))
    advice = f"publish CNAME at {name}: {target}"
    return replace(check, verdict=RecordVerdict.WRONG if way else RecordVerdict.MISSING, advice=advice)


async def check_dkim(asking: Asking, domain: str, selector: str) -> RecordCheck:
    """A key must be published at the selector."""
    name = f"{selector}._domainkey.{domain}"
    found = await asking.txt(name)
    verdict, shown, advice = _key(found)
    return RecordCheck(
        kind="dkim",
        name=name,
        verdict=verdict,
        expected="a DKIM key",
        found=shown,
        advice=advice,
        secure=found.secure,
    )


def _key(found: Lookup) -> tuple[RecordVerdict, str, str]:
    """Verdict, what was found, advice."""
    if found.status is Status.UNKNOWN:
        return RecordVerdict.UNKNOWN, found.why, ""
    if not found.values:
        advice = "publish the record that Qboxmail shows for this selector; where it is a CNAME, its end has no key"
        return RecordVerdict.MISSING, "", advice
    if len(found.values) > 1:
        return RecordVerdict.WRONG, f"{len(found.values)} TXT records", "publish one record only (RFC 6376 §3.6.2.2)"
    tags = parse_tags(found.values[0])
    shown = found.values[0] if len(found.values[0]) <= 60 else f"{found.values[0][:57]}…"
    fault = _fault(tags)
    return (RecordVerdict.WRONG, shown, fault) if fault else (RecordVerdict.OK, shown, "")


def _fault(tags: dict[str, str]) -> str:
    if tags.get("v", "DKIM1") != "DKIM1":
        return "this is no DKIM key: v= must be DKIM1"
    if "p" not in tags:
        return "this is no DKIM key: it has no p="
    if not tags["p"]:
        return "this key is revoked (p= is empty): publish the one that Qboxmail shows"
    try:
        binascii.a2b_base64("".join(tags["p"].split()), strict_mode=True)
    except (binascii.Error, ValueError):
        return "the key is damaged: p= is not Base64; publish the record as Qboxmail shows it, in one piece"
    return ""
