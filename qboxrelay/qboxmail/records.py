"""Which DNS records the Management API asks for.

In: the fields of a Delivery domain (API page getApiDeliveryDomains), whose inner shape is not documented. Out: names and values. Never: a
field name inside them that nobody documented: records are known by what they look like.
"""

import re
from collections.abc import Iterator
from typing import Any

from qboxrelay.model.address import domain_key
from qboxrelay.qboxmail.lenient import text_of, texts_in

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.)+[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.?")
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_DOMAINKEY = "_domainkey"


def cname_records(value: object, domain: str) -> tuple[tuple[str, str], ...]:
    """(name, target) of each CNAME: from objects, from lines such as `name CNAME target`, or from one text of several lines."""
    found = [_pair(hosts, domain) for hosts in _groups(value)]
    return tuple(dict.fromkeys(pair for pair in found if pair is not None))


def dkim_selectors(*values: object) -> tuple[str, ...]:
    """Selectors alone, whether they came alone or as `selector._domainkey.example.com`."""
    texts = [text.strip().lower() for value in values for text in texts_in(value)]
    bare = [text.partition(f".{_DOMAINKEY}")[0] for text in texts]
    return tuple(dict.fromkeys(text for text in bare if _SELECTOR.fullmatch(text)))


def policy_text(value: object, version: str) -> str:
    """The policy record inside, from its `v=` on, such as `v=spf1 include:… ~all`; empty when there is none."""
    for text in texts_in(value):
        start = text.lower().find(version)
        if start >= 0:
            return text_of(text[start:]).strip('"').strip()
    return ""


def _groups(value: object) -> Iterator[list[str]]:
    """The host names of each record: those of one line, or those of one object."""
    if isinstance(value, str):
        for line in value.splitlines():
            yield _hosts(line)
    elif isinstance(value, list):
        for item in value:
            yield from _groups(item)
    elif isinstance(value, dict):
        yield from _groups_of_object(value)


def _groups_of_object(value: dict[str, Any]) -> Iterator[list[str]]:
    """Records by name; or one record, its members being its parts; or records as members."""
    if any(_hosts(name) for name in value):
        yield from ([*_hosts(name), *_hosts(str(item))] for name, item in value.items())
        return
    yield [host for item in value.values() if isinstance(item, str) for host in _hosts(item)]
    for item in value.values():
        if isinstance(item, dict | list):
            yield from _groups(item)


def _hosts(text: str) -> list[str]:
    return [word.strip("\"'") for word in text.split() if _HOST.fullmatch(word.strip("\"'"))]


def _pair(hosts: list[str], domain: str) -> tuple[str, str] | None:
    """The name is the one inside the domain, or where both or none are, the first; names may be relative to the domain."""
    if len(hosts) != 2:
        return None
    first, second = (domain_key(host) for host in hosts)
    if _is_inside(second, domain) and not _is_inside(first, domain):
        first, second = second, first
    return (first if _is_inside(first, domain) else f"{first}.{domain}"), second


def _is_inside(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")
