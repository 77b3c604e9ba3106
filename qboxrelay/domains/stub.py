"""dnspython's stub resolver, as the relay wants it: every question ends, and no end is mistaken for an answer.

In: a name and a type. Out: `Lookup`. Never: an exception for what the network does; a time-out that reads as "there is none".
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import structlog

from qboxrelay.domains.nameservers import Nameservers, NoNameservers
from qboxrelay.settings.schema import SenderDomainSettings

log = structlog.get_logger()

_UNKNOWN_TTL = timedelta(seconds=15)
"""How long nobody asks again after a question without an answer."""
_MAX_CHAIN = 10


class Status(StrEnum):
    """What came of a question."""

    FOUND = "found"
    ABSENT = "absent"
    """A server said that there is no such name or no such record."""
    UNKNOWN = "unknown"
    """No answer in time, SERVFAIL, or no resolver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """An answer. `values` are records as text: TXT joined and unquoted, names without their root dot. `why` says what was unknown."""

    status: Status
    ttl: timedelta
    values: tuple[str, ...] = ()
    secure: bool | None = None
    """Whether the resolver says that it validated the answer (AD, RFC 4035 §3.2.3)."""
    why: str = ""


class Stub:
    """Asks the configured resolvers, or those of this machine."""

    def __init__(self, settings: SenderDomainSettings, nameservers: Nameservers | None = None) -> None:
        self._timeout = settings.dns_timeout.total_seconds()
        self._shortest, self._longest = settings.dns_min_ttl, settings.dns_max_ttl
        self._nameservers = nameservers or Nameservers(settings)

    async def ask(self, name: str, kind: str) -> Lookup:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._followed(name, kind)
        except TimeoutError:
            return _unknown("time-out")
        except NoNameservers as error:
            return _unknown(str(error))
        except (dns.exception.DNSException, OSError) as error:
            return _unknown(_in_words(error))
        except Exception as error:  # noqa: BLE001 - whatever a strange answer breaks says nothing about the record
            log.warning("dns.crashed", name=name, type=kind, error=type(error).__name__)
            return _unknown(type(error).__name__)

    async def _followed(self, name: str, kind: str) -> Lookup:
        """A resolver follows CNAMEs by itself; one that stops on the way is asked for the rest."""
        shortest, secure = self._longest, True
        for _ in range(_MAX_CHAIN):
            asked = _name(name)
            if asked is None:
                return Lookup(status=Status.ABSENT, ttl=self._longest, why="no name of DNS")
            try:
                answer = await self._resolve(asked, kind)
            except dns.resolver.NXDOMAIN as error:
                return self._absent(error, shortest, secure=secure)
            shortest = min(shortest, timedelta(seconds=answer.chaining_result.minimum_ttl))
            secure = secure and bool(answer.response.flags & dns.flags.AD)
            if answer.rrset is not None:
                values = tuple(sorted(_text(rdata) for rdata in answer.rrset))
                return Lookup(status=Status.FOUND, ttl=self._bounded(shortest), values=values, secure=secure)
            end = answer.canonical_name.to_text(omit_final_dot=True).lower()
            if end == name.lower():
                return Lookup(status=Status.ABSENT, ttl=self._bounded(shortest), secure=secure)
            name = end
        return Lookup(status=Status.ABSENT, ttl=self._bounded(shortest), secure=secure, why="CNAMEs without an end")

    async def _resolve(self, name: dns.name.Name, kind: str) -> dns.resolver.Answer:
        resolvers = self._nameservers.pair()
        try:
            return await resolvers.hasty.resolve(name, kind, raise_on_no_answer=False, lifetime=resolvers.once)
        except dns.resolver.LifetimeTimeout:
            return await resolvers.patient.resolve(name, kind, raise_on_no_answer=False, lifetime=self._timeout)

    def _absent(self, error: dns.resolver.NXDOMAIN, shortest: timedelta, *, secure: bool) -> Lookup:
        """There is no such name; how long that holds, its zone says (RFC 2308 §5)."""
        responses: dict[dns.name.Name, dns.message.QueryMessage] = error.kwargs["responses"]
        for response in responses.values():
            shortest = min(shortest, timedelta(seconds=response.resolve_chaining().minimum_ttl))
            secure = secure and bool(response.flags & dns.flags.AD)
        return Lookup(status=Status.ABSENT, ttl=self._bounded(shortest), secure=secure)

    def _bounded(self, ttl: timedelta) -> timedelta:
        return max(self._shortest, min(self._longest, ttl))


def _name(text: str) -> dns.name.Name | None:
    """None for what cannot be a name, such as a label of 64 octets."""
    try:
        return dns.name.from_text(text, dns.name.root)
    except (dns.exception.DNSException, ValueError):
        return None


def _text(rdata: Any) -> str:
    match rdata.rdtype:
        case dns.rdatatype.TXT:
            # RFC 7208 §3.3, RFC 6376 §3.6.2.2: the strings of one record are joined without anything between.
            text = b"".join(rdata.strings).decode("utf-8", "replace")
            # Anybody can publish anything; it is shown on terminals and in logs.
            return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
        case dns.rdatatype.CNAME:
            return str(rdata.target.to_text(omit_final_dot=True)).lower()
        case dns.rdatatype.MX:
            return (
                f"{rdata.preference} {rdata.exchange.to_text(omit_final_dot=rdata.exchange != dns.name.root).lower()}"
            )
    return str(rdata.to_text())


def _unknown(why: str) -> Lookup:
    return Lookup(status=Status.UNKNOWN, ttl=_UNKNOWN_TTL, why=why)


def _in_words(error: Exception) -> str:
    if isinstance(error, dns.resolver.NoNameservers):
        codes = {str(detail[3]) for detail in error.kwargs.get("errors", ())}
        return ", ".join(sorted(codes))[:200] or "no resolver answered"
    if isinstance(error, dns.exception.Timeout):
        return "time-out"
    return f"{type(error).__name__}: {error}"[:200]
