"""Which resolvers are asked: the configured ones, or those of this machine as they are now.

In: settings, resolv.conf. Out: dnspython's resolvers. Never: one that this machine had when the relay started and has no more.
"""

from dataclasses import dataclass
from pathlib import Path

import dns.asyncresolver
import dns.flags
import dns.nameserver
import dns.resolver

from qboxrelay.settings.schema import SenderDomainSettings

_UDP_BYTES = 1232
"""What passes every network unbroken (DNS flag day 2020); larger answers come by TCP."""
_TRY_SECONDS = (0.5, 2.0)
"""Shortest and longest wait for one resolver before the next one is asked; between them, half of what a mail waits. Once all were asked,
they are asked again with patience: a zone may be slower than that.
"""
_RESOLV_CONF = Path("/etc/resolv.conf")

Seen = tuple[int, int, int]


class NoNameservers(Exception):  # noqa: N818 - a state of the machine
    """There is nobody to ask; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same resolvers twice: `hasty` gives each of them `once` seconds, `patient` all the time there is."""

    hasty: dns.asyncresolver.Resolver
    patient: dns.asyncresolver.Resolver
    once: float


class Nameservers:
    """The resolvers to ask."""

    def __init__(self, settings: SenderDomainSettings, resolv_conf: Path = _RESOLV_CONF) -> None:
        self._settings = settings
        self._resolv_conf = resolv_conf
        self._timeout = settings.dns_timeout.total_seconds()
        shortest, longest = _TRY_SECONDS
        self._try = max(shortest, min(longest, settings.dns_deadline.total_seconds() / 2))
        self._seen: Seen | None = None
        self._pair: Pair | None = None

    def pair(self) -> Pair:
        """Those of now. Raises `NoNameservers`."""
        seen = None if self._settings.resolvers else _status(self._resolv_conf)
        if self._pair is None or seen != self._seen:
            self._pair, self._seen = self._make(), seen
        return self._pair

    def _make(self) -> Pair:
        hasty, patient = self._resolver(), self._resolver()
        hasty.timeout = self._try
        patient.timeout = max(self._try, self._timeout / len(patient.nameservers))
        return Pair(hasty, patient, self._try * len(hasty.nameservers))

    def _resolver(self) -> dns.asyncresolver.Resolver:
        own = self._settings.resolvers
        try:
            resolver = dns.asyncresolver.Resolver(filename=str(self._resolv_conf), configure=not own)
        except dns.resolver.NoResolverConfiguration:
            raise NoNameservers("this machine has no resolver: set resolvers in [sender_domains]") from None
        if own:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(at.host, at.port) for at in own]
        resolver.use_edns(0, 0, _UDP_BYTES)
        # AD in a question asks for AD in the answer (RFC 6840 §5.7).
        resolver.flags = dns.flags.RD | dns.flags.AD
        return resolver


def _status(path: Path) -> Seen | None:
    """Another one when the file is another; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
