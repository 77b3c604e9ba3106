"""Questions to a real server: what comes back, what is kept, what is never confused with an answer."""

import asyncio
from datetime import timedelta

from prometheus_client import CollectorRegistry

from qboxrelay.domains.stub import Status
from tests.contract.domains.harness import resolving, scenario
from tests.contract.domains.zones import KEY
from tests.support.dns import Front, free_port


@scenario
async def test_strings_of_one_record_are_joined(dns_port: int) -> None:
    """RFC 6376 §3.6.2.2: nothing stands between them."""
    async with resolving(dns_port) as (resolver, _):
        found = await resolver.lookup("nl._domainkey.provider.example", "TXT")
    assert (found.status, found.values) == (Status.FOUND, (f"v=DKIM1; k=rsa; p={KEY}",))
    assert found.ttl == timedelta(seconds=300)
    assert found.secure is False


@scenario
async def test_an_oversized_answer_comes_by_tcp(dns_port: int) -> None:
    """The datagram is cut short; the whole set is read over TCP."""
    async with Front(dns_port) as front, resolving(front.port) as (resolver, _):
        found = await resolver.lookup("oversized.example", "TXT")
        assert front.by_tcp["oversized.example", "TXT"] >= 1
    assert found.status is Status.FOUND
    assert len(found.values) == 32


@scenario
async def test_cnames_are_followed_into_other_zones(dns_port: int) -> None:
    """A server that stops on the way is asked for the rest."""
    async with resolving(dns_port) as (resolver, _):
        found = await resolver.lookup("tr._domainkey.chained.example", "TXT")
        assert found.values == (f"v=DKIM1; k=rsa; p={KEY}",)
        (name,) = (await resolver.lookup("tr._domainkey.chained.example", "CNAME")).values
        assert name == "one.chained.example"


@scenario
async def test_cnames_without_an_end_are_no_answer(dns_port: int) -> None:
    async with resolving(dns_port) as (resolver, _):
        found = await resolver.lookup("tr._domainkey.looping.example", "TXT")
        assert found.status is not Status.FOUND
        found = await resolver.lookup("loop.provider.example", "TXT")
        assert found.status is not Status.FOUND


@scenario
async def test_there_is_none_and_nobody_knows_are_two_things(dns_port: int) -> None:
    """No name, no such record: absent. SERVFAIL, REFUSED, silence: unknown."""
    async with Front(dns_port) as front:
        front.silent.add("slow.example")
        async with resolving(front.port, dns_timeout="60s") as (resolver, _):
            status = {
                name: (await resolver.lookup(name, "TXT")).status
                for name in ("missing.example", "gone.missing.example", "lame.example", "elsewhere.invalid")
            }
            why = (await resolver.lookup("lame.example", "TXT")).why
        async with resolving(front.port, dns_timeout="1s") as (resolver, _):
            status["slow.example"] = (await resolver.lookup("slow.example", "TXT")).status
    assert status == {
        "missing.example": Status.ABSENT,
        "gone.missing.example": Status.ABSENT,
        "lame.example": Status.UNKNOWN,
        "elsewhere.invalid": Status.UNKNOWN,
        "slow.example": Status.UNKNOWN,
    }
    assert "SERVFAIL" in why


@scenario
async def test_what_is_no_name_is_absent(dns_port: int) -> None:
    """Labels over 63 octets, empty labels and letters without an IDNA form are no question to anybody."""
    async with Front(dns_port) as front, resolving(front.port) as (resolver, _):
        for name in ("x" * 64 + ".example", "a..example", "\u2028.example", "." * 3):
            assert (await resolver.lookup(name, "TXT")).status is Status.ABSENT
        assert not front.asked


@scenario
async def test_the_next_resolver_is_asked(dns_port: int) -> None:
    """Of several resolvers one that is dead, one that is silent and one that is lame cost time, not the answer."""
    async with Front(dns_port) as silent:
        silent.silent.add("example")
        async with resolving(free_port(), silent.port, dns_port, dns_deadline="1s") as (resolver, _):
            found = await resolver.lookup("right.example", "MX")
    assert found.values == ("10 mx.right.example",)


@scenario
async def test_a_slow_zone_is_waited_for(dns_port: int) -> None:
    """Slower than a first try waits, but within the time-out: the second try is patient."""
    async with Front(dns_port) as front, resolving(front.port, dns_deadline="1s", dns_timeout="30s") as (resolver, _):
        front.slow["slow.example"] = 1.5
        assert (await resolver.lookup("slow.example", "MX")).status is Status.FOUND


@scenario
async def test_a_machine_without_any_resolver_knows_nothing() -> None:
    async with resolving(free_port(), dns_timeout="1s") as (resolver, _):
        found = await resolver.lookup("right.example", "TXT")
    assert found.status is Status.UNKNOWN
    assert found.why


@scenario
async def test_one_question_for_all_who_wait_and_then_none(dns_port: int) -> None:
    """A question under way is everybody's; its answer is kept."""
    registry = CollectorRegistry()
    async with Front(dns_port) as front, resolving(front.port, registry=registry) as (resolver, _):
        front.slow["right.example"] = 0.3
        results = await asyncio.gather(*(resolver.lookup("right.example", "TXT") for _ in range(200)))
        assert {result.status for result in results} == {Status.FOUND}
        await resolver.lookup("right.example", "TXT")
    labels = {"type": "TXT", "result": "found"}
    assert registry.get_sample_value("qboxrelay_sender_domain_dns_lookups_total", labels) == 1


@scenario
async def test_who_gives_up_does_not_end_it_for_the_others(dns_port: int) -> None:
    registry = CollectorRegistry()
    async with Front(dns_port) as front, resolving(front.port, registry=registry) as (resolver, _):
        front.slow["right.example"] = 0.5
        patient = asyncio.create_task(resolver.lookup("right.example", "TXT"))
        hasty = asyncio.create_task(resolver.lookup("right.example", "TXT"))
        await asyncio.sleep(0)
        hasty.cancel()
        assert (await patient).status is Status.FOUND
    labels = {"type": "TXT", "result": "found"}
    assert registry.get_sample_value("qboxrelay_sender_domain_dns_lookups_total", labels) == 1


@scenario
async def test_an_answer_is_asked_anew_when_its_time_is_over(dns_port: int) -> None:
    """Its TTL counts between the shortest and the longest that the settings allow."""
    async with Front(dns_port) as front:
        async with resolving(front.port, dns_min_ttl="10ms", dns_max_ttl="10ms") as (resolver, _):
            first = await resolver.lookup("right.example", "TXT")
            assert first.ttl == timedelta(milliseconds=10)
            await asyncio.sleep(0.05)
            await resolver.lookup("right.example", "TXT")
            assert front.asked["right.example", "TXT"] >= 2
        async with resolving(front.port, dns_min_ttl="1h", dns_max_ttl="2h") as (resolver, _):
            assert (await resolver.lookup("right.example", "TXT")).ttl == timedelta(hours=1)
            assert (await resolver.lookup("gone.right.example", "TXT")).ttl == timedelta(hours=1)


@scenario
async def test_what_others_publish_cannot_steer_a_terminal(dns_port: int) -> None:
    """Control characters in TXT are shown as U+FFFD."""
    async with resolving(dns_port) as (resolver, _):
        (value,) = (await resolver.lookup("escape.elsewhere.example", "TXT")).values
    assert value == "red \ufffd[31m\ufffd"
