"""The sender domains: where each stands, and what DNS says of one of them.

In: the facts of the domains part. Out: pages. Never: a look-up for a domain that is not known; a wait for DNS beyond `dns_deadline`.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.model.address import domain_key
from qboxrelay.model.sender_domain import DeliveryDomain, DomainState
from qboxrelay.policy.sender_domain import SenderDomainRules
from qboxrelay.status.site import Domains, Site

_SHOWN = 500
_KINDS = ("dkim", "spf")


async def show_domains(site: Site, request: Request) -> Response:
    if site.domains is None:
        return site.page(request, "domains.html", entries=[], total=0, checked=False, age=None)
    wanted = request.query_params.get("q", "").strip().lower()
    names = [name for name in site.domains.names() if wanted in name]
    ages = [age for name in names[:1] if (age := site.domains.standing(name).age) is not None]
    return site.page(
        request,
        "domains.html",
        entries=[_entry(site, site.domains, name) for name in names[:_SHOWN]],
        total=len(names),
        checked=True,
        age=ages[0] if ages else None,
    )


async def show_domain(site: Site, request: Request) -> Response:
    name = domain_key(request.path_params["name"])
    if site.domains is None or name not in site.domains.names():
        return site.page(request, "missing_domain.html", status=404, name=name)
    report = await site.domains.report(name)
    return site.page(request, "domain.html", entry=_entry(site, site.domains, name), report=report)


def _entry(site: Site, domains: Domains, name: str) -> dict[str, Any]:
    known, facts = domains.listed(name), domains.standing(name)
    return {
        "name": name,
        "state": facts.state if facts.state is not DomainState.NO_FACTS or known is None else known.state,
        "mode": SenderDomainRules(site.settings.sender_domains).mode(facts.state),
        "accounts": domains.accounts_of(name),
        "checks": _last_checks(known),
        "words": dict(known.words) if known else {},
    }


def _last_checks(domain: DeliveryDomain | None) -> str:
    """Qboxmail's own."""
    if domain is None:
        return ""
    found = ((kind, domain.words.get(f"{kind}_last_check_ok", "").lower()) for kind in _KINDS)
    return ", ".join(f"{kind.upper()} {'ok' if word == 'true' else 'failed'}" for kind, word in found if word)
