"""MX: whether answers and bounces have somewhere to go (RFC 5321 §5.1), or it is said that they have not (RFC 7505).

In: the domain of From. Out: `RecordCheck`. Never: a connection to the host.
"""

from dataclasses import replace

from qboxrelay.domains.asking import Asking
from qboxrelay.domains.stub import Status
from qboxrelay.model.sender_domain import RecordCheck, RecordVerdict

_NULL = "0 ."


async def check_mx(asking: Asking, domain: str) -> RecordCheck:
    """Many receivers refuse mail from a domain that cannot take any. Good advice, not required."""
    found = await asking.lookup(domain, "MX")
    check = RecordCheck(
        kind="mx",
        name=domain,
        verdict=RecordVerdict.OK,
        expected="an MX, or a null MX (0 .)",
        found=", ".join(found.values) or found.why,
        required=False,
        secure=found.secure,
    )
    if found.status is Status.UNKNOWN:
        return replace(check, verdict=RecordVerdict.UNKNOWN)
    nulls = [value for value in found.values if value.endswith(" .")]
    if nulls and found.values != (_NULL,):
        return replace(check, verdict=RecordVerdict.WRONG, advice=f'a null MX stands alone, as "{_NULL}" (RFC 7505 §3)')
    if found.values:
        return check
    advice = f'publish an MX for {domain}, or "{_NULL}" if it takes no mail'
    return replace(check, verdict=RecordVerdict.MISSING, advice=advice)
