"""DNSSEC as a validating resolver reports it: shown, and a broken signature is unknown, never an answer."""

from pathlib import Path

from qboxrelay.model.sender_domain import RecordVerdict
from tests.contract.domains.harness import expected, resolving, scenario
from tests.contract.domains.zones import RIGHT, ZONES
from tests.support.dns import key_digest, knot, unbound

NAMES = ("signed.example", "unsigned.example", "bogus.example", "provider.example")


@scenario
async def test_what_the_resolver_validated_is_shown(tmp_path: Path) -> None:
    """AD in the answer (RFC 4035 §3.2.3); over a CNAME into an unsigned zone it is gone; a bogus zone says nothing."""
    zones = {**dict.fromkeys(NAMES[:3], RIGHT), "provider.example": ZONES["provider.example"]}
    signed = ("signed.example", "bogus.example")
    with knot(tmp_path / "knot", zones, signed=signed) as behind:
        digest = key_digest(behind, "signed.example")
        # A digest that no key has: every answer of the zone is bogus.
        anchors = {"signed.example": digest, "bogus.example": digest}
        with unbound(tmp_path / "unbound", behind, NAMES[::-1], anchors) as port:
            async with resolving(port) as (_, checker):
                reports = {name: await checker.check(expected(name)) for name in NAMES[:3]}
    secure = {name: {check.kind: check.secure for check in report.checks} for name, report in reports.items()}
    assert secure["signed.example"] == {"cname": True, "dkim": False, "spf": True, "dmarc": True, "mx": True}
    assert secure["unsigned.example"] == dict.fromkeys(secure["unsigned.example"], False)
    assert secure["bogus.example"] == dict.fromkeys(secure["bogus.example"])
    assert [report.verdict for report in reports.values()] == [
        RecordVerdict.OK,
        RecordVerdict.OK,
        RecordVerdict.UNKNOWN,
    ]
