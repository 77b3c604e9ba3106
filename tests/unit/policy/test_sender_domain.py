"""What becomes of a mail by where its sender domain stands: a table."""

from datetime import timedelta
from typing import Any

import pytest

from qboxrelay.model.sender_domain import DomainReport, DomainState, RecordCheck, RecordVerdict, SenderFacts
from qboxrelay.policy.sender_domain import SenderDomainRules
from qboxrelay.settings.schema import SenderDomainSettings
from tests.contract.spool.harness import START

OK, WRONG, MISSING, UNKNOWN = RecordVerdict.OK, RecordVerdict.WRONG, RecordVerdict.MISSING, RecordVerdict.UNKNOWN


def rules(**settings: Any) -> SenderDomainRules:
    return SenderDomainRules(SenderDomainSettings.model_validate(settings))


def facts(state: DomainState, report: DomainReport | None = None, domain: str = "example.com") -> SenderFacts:
    may_send = state in {DomainState.ENABLED, DomainState.MISCONFIGURED}
    return SenderFacts(domain=domain, state=state, delivery_domain=domain if may_send else "", report=report)


def report(**verdicts: RecordVerdict) -> DomainReport:
    """By kind; a kind that ends with `_advice` is not required."""
    checks = tuple(
        RecordCheck(
            kind=kind.removesuffix("_advice"),
            name="x",
            verdict=verdict,
            expected="",
            required=not kind.endswith("_advice"),
        )
        for kind, verdict in verdicts.items()
    )
    return DomainReport(domain="example.com", checked_at=START, ttl=timedelta(minutes=1), checks=checks)


@pytest.mark.parametrize(
    ("state", "mode", "code"),
    [
        (DomainState.ENABLED, "accept", None),
        (DomainState.MISCONFIGURED, "warn", None),
        (DomainState.NOT_VERIFIED, "reject", 550),
        (DomainState.NEED_APPROVAL, "reject", 550),
        (DomainState.DISABLED, "reject", 550),
        (DomainState.BLOCKED, "reject", 550),
        (DomainState.NOT_LISTED, "reject", 550),
        (DomainState.NOT_ASSIGNED, "reject", 550),
        (DomainState.UNCLEAR, "accept", None),
        (DomainState.NO_FACTS, "accept", None),
    ],
)
def test_the_defaults(state: DomainState, mode: str, code: int | None) -> None:
    """Enabled is taken, misconfigured with a warning, the rest refused; what nobody knows is taken."""
    verdict = rules().judge(facts(state))
    assert (verdict.mode, verdict.state) == (mode, state)
    assert (verdict.reply.code if verdict.reply else None) == code
    assert rules().mode(state) == mode


@pytest.mark.parametrize("mode", ["accept", "warn", "defer", "reject"])
@pytest.mark.parametrize("state", list(DomainState))
def test_every_state_has_a_mode_of_its_own(state: DomainState, mode: str) -> None:
    """Each state has one key; the two of which nothing is known share one, which never refuses for good."""
    nothing_known = state in {DomainState.UNCLEAR, DomainState.NO_FACTS}
    key = "if_no_facts" if nothing_known else f"if_{state}"
    if nothing_known and mode not in {"accept", "defer"}:
        return
    verdict = rules(**{key: mode}).judge(facts(state))
    assert verdict.mode == mode
    expected = {"defer": (451, "4.7.1"), "reject": (550, "5.7.1")}.get(mode)
    assert (None if verdict.reply is None else (verdict.reply.code, verdict.reply.enhanced)) == expected


@pytest.mark.parametrize("state", list(DomainState))
def test_every_reply_names_domain_state_and_what_to_do(state: DomainState) -> None:
    text = rules().judge(facts(state, domain="shop.example")).text
    assert "shop.example" in text
    assert f"({state})" in text
    assert ": " in text
    assert len(text) < 400


def test_the_reply_of_the_issue() -> None:
    reply = rules().judge(facts(DomainState.NOT_VERIFIED, domain="example.org")).reply
    assert str(reply) == (
        "550 5.7.1 example.org is not a verified Delivery domain (not_verified): publish its DNS records, then verify it; "
        "see: qboxrelay domains check example.org"
    )


def test_a_reply_is_ascii() -> None:
    """RFC 5321 §4.2: also for a domain that has no form in DNS."""
    reply = rules().judge(facts(DomainState.NOT_LISTED, domain="b\u00fccher\u2603")).reply
    assert reply is not None
    assert str(reply).isascii()


@pytest.mark.parametrize(
    ("dns", "found", "mode", "state"),
    [
        ("off", report(spf=WRONG), "accept", "enabled"),
        ("warn", report(spf=OK), "accept", "enabled"),
        ("warn", report(spf=WRONG), "warn", "dns_wrong"),
        ("warn", report(cname=MISSING), "warn", "dns_missing"),
        ("warn", report(cname=UNKNOWN), "accept", "dns_unknown"),
        ("warn", None, "accept", "dns_unknown"),
        ("enforce", report(spf=OK, dmarc_advice=WRONG, mx_advice=MISSING), "accept", "enabled"),
        ("enforce", report(spf=WRONG, cname=UNKNOWN), "reject", "dns_wrong"),
        ("enforce", report(spf=MISSING), "reject", "dns_missing"),
        ("enforce", report(spf=OK, cname=UNKNOWN), "accept", "dns_unknown"),
        ("enforce", None, "accept", "dns_unknown"),
    ],
)
def test_dns_adds_its_word(dns: str, found: DomainReport | None, mode: str, state: str) -> None:
    """Wrong or missing where it is required; what nobody answered is never wrong."""
    verdict = rules(dns=dns).judge(facts(DomainState.ENABLED, found))
    assert (verdict.mode, verdict.state) == (mode, state)


def test_unknown_dns_can_be_made_to_wait() -> None:
    verdict = rules(dns="enforce", if_no_facts="defer").judge(facts(DomainState.ENABLED))
    assert (verdict.mode, verdict.reply.code if verdict.reply else 0) == ("defer", 451)


def test_the_reply_about_dns_names_the_records() -> None:
    verdict = rules(dns="enforce").judge(facts(DomainState.ENABLED, report(spf=WRONG, cname=MISSING, dkim=OK)))
    assert "(spf, cname)" in verdict.text
    assert "qboxrelay domains check example.com" in verdict.text


def test_a_warning_stays_where_dns_has_nothing_to_add() -> None:
    """A misconfigured domain of which DNS says nothing is still worth its warning."""
    for found in (None, report(spf=OK), report(spf=UNKNOWN)):
        assert rules(dns="warn").judge(facts(DomainState.MISCONFIGURED, found)).state == "misconfigured"
    assert rules(dns="enforce").judge(facts(DomainState.MISCONFIGURED, report(spf=WRONG))).mode == "reject"


def test_who_may_not_send_is_not_looked_up_in_dns() -> None:
    """The verdict by state stands."""
    verdict = rules(dns="enforce", if_not_listed="warn").judge(facts(DomainState.NOT_LISTED))
    assert (verdict.mode, verdict.state) == ("warn", "not_listed")
