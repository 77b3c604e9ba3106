"""What is shown in place of a page whose spool cannot be read: what this relay knows by itself.

In: the trouble, the metrics, the accounts' conditions. Out: a page with status 503. Never: another look into the spool for a figure of it.
"""

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.status import history
from qboxrelay.status.overview import charts
from qboxrelay.status.site import Site


async def show_trouble(site: Site, request: Request, error: str) -> Response:
    await site.history.look_again()
    samples = site.history.samples()
    return site.page(
        request,
        "trouble.html",
        status=503,
        error=error,
        since=site.history.unreadable_since,
        accepted=history.increase(samples, "qboxrelay_mails_accepted_total"),
        turned_away=history.increase(samples, "qboxrelay_mails_refused_total"),
        covered=samples[-1].at - samples[0].at,
        charts=charts(samples),
        readiness=await site.health.readiness(),
        conditions=site.conditions(),
    )
