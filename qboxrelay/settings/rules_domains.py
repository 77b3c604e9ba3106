"""What the keys of `[sender_domains]` must be to each other and to the rest.

In: `Settings` whose every key is right by itself. Out: findings. Never: a look at the token; `management_token` does that.
"""

import re
from collections.abc import Iterator
from datetime import timedelta

from qboxrelay.model.address import domain_key, is_dns_name
from qboxrelay.settings.finding import Finding
from qboxrelay.settings.schema import SenderDomainSettings, Settings
from qboxrelay.settings.toml import to_toml

_SECTION = "sender_domains"
_PATH = re.compile(r"/(?:[A-Za-z0-9._~/-]|\{code\}|\{name\})*")
_LEAST_REFRESH = timedelta(seconds=5)
_ABOVE_ZERO = ("api_deadline", "dns_deadline", "dns_timeout", "dns_min_ttl")


def domain_findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule of `[sender_domains]`; its URL is for `rules`, with the others."""
    domains = settings.sender_domains
    for rule in (_names, _times, _verification):
        for key, wrong, instead in rule(domains):
            yield Finding((_SECTION, *key), wrong, instead)
    if domains.source == "static" and not domains.domains:
        yield Finding((_SECTION, "source"), "no mail could come in without a domain", 'write domains = ["example.com"]')


_Broken = tuple[tuple[str | int, ...], str, str]


def _names(domains: SenderDomainSettings) -> Iterator[_Broken]:
    for key, what in (("domains", '"example.com"'), ("dkim_selectors", '"selector1"')):
        for place, name in enumerate(getattr(domains, key)):
            if not is_dns_name(domain_key(name)):
                yield (key, place), "is not a name of DNS", f"write the name alone, such as {what}"
    if domains.spf_include and not is_dns_name(domain_key(domains.spf_include)):
        yield ("spf_include",), "is not a name of DNS", "write what stands behind include: in the SPF record"


def _times(domains: SenderDomainSettings) -> Iterator[_Broken]:
    for key in _ABOVE_ZERO:
        if not getattr(domains, key):
            yield (key,), "must be longer than nothing", ""
    if domains.refresh < _LEAST_REFRESH:
        yield ("refresh",), "would ask the Management API without a pause", f"write at least {to_toml(_LEAST_REFRESH)}"
    if domains.facts_max_age < domains.refresh * 2:
        instead = f"write at least {to_toml(domains.refresh * 2)}"
        yield (
            ("facts_max_age",),
            "must be twice refresh or more, or one failed request makes the facts too old",
            instead,
        )
    if domains.dns_max_ttl < domains.dns_min_ttl:
        yield ("dns_max_ttl",), "must not be shorter than dns_min_ttl", f"write at least {to_toml(domains.dns_min_ttl)}"


def _verification(domains: SenderDomainSettings) -> Iterator[_Broken]:
    if domains.verify_path and not _PATH.fullmatch(domains.verify_path):
        yield ("verify_path",), "is not a path", "begin with /, and write {code} or {name} where the domain's stands"
