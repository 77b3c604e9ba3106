"""Each kind of record against a real server: right, wrong, missing, unknown, and what to publish."""

import pytest

from qboxrelay.domains.check import expected_of
from qboxrelay.model.sender_domain import DeliveryDomain, DomainState, RecordVerdict
from tests.contract.domains.harness import SPF, checks_of, expected, resolving, scenario, settings
from tests.support.dns import Front

OK, WRONG, MISSING, UNKNOWN = RecordVerdict.OK, RecordVerdict.WRONG, RecordVerdict.MISSING, RecordVerdict.UNKNOWN


@pytest.mark.parametrize("domain", ["right.example", "oversized.example", "chained.example", "null-mx.example"])
@scenario
async def test_right_records_are_right(dns_port: int, domain: str) -> None:
    """However large they are, over however many names they lead, and with a null MX."""
    checks = await checks_of(dns_port, expected(domain))
    assert {name: check.verdict for name, check in checks.items()} == dict.fromkeys(
        ("cname tr", "cname nl", "dkim tr", "dkim nl", "spf", "dmarc", "mx"), OK
    )
    assert [check.advice for check in checks.values() if check.advice] == []
    assert "(2 of 10 lookups)" in checks["spf"].found


@scenario
async def test_the_way_of_a_chain_is_shown(dns_port: int) -> None:
    checks = await checks_of(dns_port, expected("chained.example"))
    way = "one.chained.example → two.hop.example → three.hop.example → tr._domainkey.provider.example"
    assert checks["cname tr"].found == way


@scenario
async def test_cnames_that_lead_nowhere_or_in_a_circle(dns_port: int) -> None:
    """The delegated name is right where it leads to its target; whether a key is there is the key's own line. A circle is wrong."""
    gone = (("tr._domainkey.dangling.example", "gone._domainkey.provider.example"),)
    checks = await checks_of(dns_port, expected("dangling.example", records=gone, dkim_selectors=("tr",)))
    assert (checks["cname tr"].verdict, checks["dkim tr"].verdict) == (OK, MISSING)
    assert "its end has no key" in checks["dkim tr"].advice
    checks = await checks_of(dns_port, expected("looping.example"))
    assert checks["cname tr"].verdict is WRONG
    assert (checks["dkim tr"].verdict, checks["dkim nl"].verdict) == (UNKNOWN, OK)


@scenario
async def test_missing_records_say_what_to_publish(dns_port: int) -> None:
    checks = await checks_of(dns_port, expected("missing.example"))
    assert {name: check.verdict for name, check in checks.items()} == dict.fromkeys(checks, MISSING)
    assert checks["cname tr"].advice == (
        "publish CNAME at tr._domainkey.missing.example: tr._domainkey.provider.example"
    )
    assert checks["spf"].advice == f'publish TXT at missing.example: "{SPF}"'
    assert checks["dmarc"].advice == 'publish TXT at _dmarc.missing.example: "v=DMARC1; p=none"'
    assert '"0 ."' in checks["mx"].advice
    assert {name for name, check in checks.items() if not check.required} == {"dmarc", "mx"}


@scenario
async def test_wrong_records_say_what_is_wrong(dns_port: int) -> None:
    asked = expected("wrong.example", dkim_selectors=("bad", "old", "two", "alien", "empty", "tr"))
    checks = await checks_of(dns_port, asked)
    verdicts = {name: check.verdict for name, check in checks.items()}
    assert verdicts == {**dict.fromkeys(checks, WRONG), "cname nl": MISSING}
    assert "not Base64" in checks["dkim bad"].advice
    assert "revoked" in checks["dkim old"].advice
    assert "one record only" in checks["dkim two"].advice
    assert "v= must be DKIM1" in checks["dkim alien"].advice
    assert "no p=" in checks["dkim empty"].advice
    assert "no p=" in checks["dmarc"].advice
    assert "alone" in checks["mx"].advice
    assert checks["cname tr"].found == "tr._domainkey.elsewhere.example"


@scenario
async def test_an_include_that_leads_nowhere_breaks_the_record(dns_port: int) -> None:
    """RFC 7208 §5.2: receivers answer permerror, whatever else the record says."""
    checks = await checks_of(dns_port, expected("wrong.example"))
    assert checks["spf"].verdict is WRONG
    assert "no SPF record" in checks["spf"].advice


@pytest.mark.parametrize(
    ("domain", "verdict", "says"),
    [
        ("spf-without.example", WRONG, 'publish instead: "v=spf1 include:spf.provider.example ip4:198.51.100.7 ~all"'),
        ("spf-behind-all.example", WRONG, "publish instead"),
        ("spf-negative.example", WRONG, "publish instead"),
        ("spf-twice.example", WRONG, "one SPF record only"),
        ("spf-costly.example", WRONG, "more than 10 lookups"),
        ("spf-loop.example", WRONG, "more than 10 lookups"),
        ("spf-broken.example", WRONG, "is not a mechanism"),
        ("spf-nested.example", OK, ""),
        ("spf-redirect.example", OK, ""),
        ("spf-upper-case.example", OK, ""),
        ("spf-several-inside.example", WRONG, "several SPF records"),
        ("half-lame.example", UNKNOWN, ""),
        ("spf-strings.example", OK, ""),
        ("spf-redirect-twice.example", WRONG, "redirect= stands in it twice"),
        ("spf-redirect-behind-all.example", WRONG, "publish instead"),
        ("spf-redirect-to-nothing.example", WRONG, "redirect=no-spf.provider.example leads to no SPF record"),
        ("spf-macro.example", OK, ""),
        ("spf-no-network.example", WRONG, "is not what ip4 may say"),
        ("spf-netmask.example", WRONG, "is not what ip4 may say"),
        ("spf-other-family.example", WRONG, "is not what ip6 may say"),
        ("spf-networks.example", OK, ""),
        ("spf-two-void.example", OK, ""),
        ("spf-three-void.example", WRONG, "more than 2 of its names do not exist, the last is gone3.provider.example"),
        ("spf-void-behind-all.example", OK, ""),
        ("spf-void-unknown.example", OK, ""),
        ("spf-many-mx.example", WRONG, "more than 10 hosts"),
    ],
)
@scenario
async def test_spf_is_followed(dns_port: int, domain: str, verdict: RecordVerdict, says: str) -> None:
    """RFC 7208: what is included counts, terms behind `all` do not, nor what a sign other than + gives."""
    check = (await checks_of(dns_port, expected(domain)))["spf"]
    assert check.verdict is verdict, check.found
    assert says in check.advice
    assert bool(check.advice) == bool(says)


@pytest.mark.parametrize(
    ("from_domain", "delivery_domain", "verdict", "found_at"),
    [
        ("right.example", "", OK, "_dmarc.right.example"),
        ("news.right.example", "right.example", OK, "_dmarc.right.example"),
        ("news.strict.example", "strict.example", WRONG, "_dmarc.strict.example"),
        ("strict.example", "", OK, "_dmarc.strict.example"),
        ("dmarc-twice.example", "", WRONG, "_dmarc.dmarc-twice.example"),
        ("dmarc-policy.example", "", WRONG, "_dmarc.dmarc-policy.example"),
        ("dmarc-align.example", "", WRONG, "_dmarc.dmarc-align.example"),
        ("dmarc-percent.example", "", WRONG, "_dmarc.dmarc-percent.example"),
        ("dmarc-report.example", "", WRONG, "_dmarc.dmarc-report.example"),
        ("dmarc-reports.example", "", OK, "_dmarc.dmarc-reports.example"),
        ("a.b.c.d.e.f.g.h.i.j.k.right.example", "right.example", OK, "_dmarc.right.example"),
        ("lame.example", "", UNKNOWN, "_dmarc.lame.example"),
    ],
)
@scenario
async def test_dmarc_is_looked_for_upwards_and_must_align(
    dns_port: int, from_domain: str, delivery_domain: str, verdict: RecordVerdict, found_at: str
) -> None:
    """RFC 7489: the policy of the domain, else of a parent; strict alignment shuts out a signature of the parent."""
    check = (await checks_of(dns_port, expected(from_domain, delivery_domain=delivery_domain)))["dmarc"]
    assert (check.verdict, check.name) == (verdict, found_at)


@pytest.mark.parametrize("domain", ["lame.example", "slow.example", "refused.invalid"])
@scenario
async def test_no_answer_is_never_wrong(dns_port: int, domain: str) -> None:
    """SERVFAIL, silence and REFUSED are unknown, for every kind of record."""
    async with Front(dns_port) as front:
        front.silent.add("slow.example")
        async with resolving(front.port, dns_timeout="1s") as (_, checker):
            report = await checker.check(expected(domain))
    assert {check.verdict for check in report.checks} == {UNKNOWN}
    assert {check.secure for check in report.checks} == {None}
    assert report.verdict is UNKNOWN


@scenario
async def test_a_certain_fault_outweighs_what_nobody_knows(dns_port: int) -> None:
    """One wrong record is wrong, also while another cannot be looked at."""
    async with Front(dns_port) as front:
        front.silent.add("tr._domainkey.missing.example")
        async with resolving(front.port, dns_timeout="4s") as (_, checker):
            report = await checker.check(expected("missing.example"))
    assert {check.verdict for check in report.checks} == {UNKNOWN, MISSING}
    assert report.verdict is MISSING


@scenario
async def test_without_a_management_api_the_settings_say_what_to_expect(dns_port: int) -> None:
    """Static domains: `spf_include` and `dkim_selectors`; without them any valid SPF record will do, and none is required."""
    named = settings(dns_port, spf_include="spf.provider.example.", dkim_selectors=["tr"])
    checks = await checks_of(dns_port, expected_of("right.example", None, named))
    assert {name: (check.verdict, check.required) for name, check in checks.items()} == {
        "dkim tr": (OK, True),
        "spf": (OK, True),
        "dmarc": (OK, False),
        "mx": (OK, False),
    }
    checks = await checks_of(dns_port, expected_of("missing.example", None, settings(dns_port)))
    assert (checks["spf"].verdict, checks["spf"].required) == (MISSING, False)


def test_what_the_api_says_goes_before_the_settings() -> None:
    """Only what it leaves out comes from the settings."""
    named = settings(spf_include="a.example", dkim_selectors=["own"])
    known = DeliveryDomain(name="example.com", state=DomainState.ENABLED, spf=SPF, dkim_selectors=("tr",))
    asked = expected_of("mail.example.com", known, named)
    assert (asked.domain, asked.delivery_domain) == ("mail.example.com", "example.com")
    assert (asked.spf, asked.dkim_selectors) == (SPF, ("tr",))
