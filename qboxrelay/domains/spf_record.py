"""SPF records as text (RFC 7208 §4.5, §4.6).

In: TXT values of one name, or one record. Out: the terms. Never: DNS.
"""

import ipaddress
import re
from dataclasses import dataclass

_TERM = re.compile(r"(?P<qualifier>[+?~-]?)(?P<name>[A-Za-z][A-Za-z0-9_.-]*)(?P<rest>[:/=].*)?")
_MECHANISMS = {"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}
_LETTING_SEND = (_MECHANISMS - {"all"}) | {"redirect"}
_PREFIXES = re.compile(r"(/[0-9]{1,2})?(//[0-9]{1,3})?\Z")
"""RFC 7208 §5.3: dual-cidr-length."""
_COSTLY = {"include", "a", "mx", "ptr", "exists", "redirect"}
"""RFC 7208 §4.6.4."""


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism or modifier. `target` is lower case, without the separator; empty where there is none."""

    name: str
    target: str
    passes: bool
    """Whether a match means "may send": only + does."""

    @property
    def costs_lookup(self) -> bool:
        return self.name in _COSTLY

    @property
    def host(self) -> str:
        """The name that `a`, `mx` and `exists` look up; empty for the domain of the record."""
        return _PREFIXES.sub("", self.target)

    @property
    def needs_mail(self) -> bool:
        """Whether it holds a macro (RFC 7208 §7), so that only a mail tells what it means."""
        return "%" in self.target

    @property
    def policy(self) -> str:
        """The domain whose record is read for it; empty where there is none, or it cannot be known without a mail."""
        return self.target if self.name in {"include", "redirect"} and not self.needs_mail else ""


class SpfError(Exception):
    """A record that receivers cannot use: they answer permerror."""


def spf_records(values: tuple[str, ...]) -> list[str]:
    """Those of the TXT values that are SPF records."""
    return [value for value in values if value.lower() == "v=spf1" or value.lower().startswith("v=spf1 ")]


def parse_terms(record: str) -> list[Term]:
    """The terms that a receiver looks at, in order: none behind `all`, and then no redirect. Raises `SpfError`."""
    terms = [_term(text) for text in record.split()[1:]]
    redirects = [term for term in terms if term.name == "redirect"]
    if len(redirects) > 1:
        raise SpfError("redirect= stands in it twice")
    position = next((place for place, term in enumerate(terms) if term.name == "all"), None)
    if position is not None:
        return [term for term in terms[: position + 1] if term.name != "redirect"]
    # Wherever it stands, it comes last (RFC 7208 §6.1).
    return [term for term in terms if term.name != "redirect"] + redirects


def asked_terms(record: str) -> list[Term]:
    """What a suggested record asks for: all of it but `all`, which is the owner's choice. Empty for what cannot be read."""
    try:
        return [term for term in parse_terms(record) if term.name in _LETTING_SEND and term.passes]
    except SpfError:
        return []


def _term(text: str) -> Term:
    found = _TERM.fullmatch(text)
    if found is None:
        raise SpfError(f'"{text[:40]}" is not a term of SPF')
    name, rest = found["name"].lower(), found["rest"] or ""
    if rest.startswith("="):
        # Unknown modifiers are ignored (RFC 7208 §6).
        return Term(name, rest[1:].rstrip(".").lower(), passes=True)
    if name not in _MECHANISMS:
        raise SpfError(f'"{text[:40]}" is not a mechanism of SPF')
    if name in {"include", "exists"} and len(rest) < 2:
        raise SpfError(f"{name}: names no domain")
    if (name == "all" and rest) or (name in {"ip4", "ip6"} and not _is_network(name, rest[1:])):
        raise SpfError(f'"{text[:40]}" is not what {name} may say')
    return Term(name, rest.removeprefix(":").rstrip(".").lower(), passes=found["qualifier"] in {"", "+"})


def _is_network(name: str, text: str) -> bool:
    address, slash, prefix = text.partition("/")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return f"ip{network.version}" == name and bool(address) and prefix.isdecimal() == bool(slash)
