"""What is shown in place of a page whose spool cannot be read: what this relay knows by itself.

In: the trouble, the metrics, the accounts' conditions. Out: a page with status 503. Never: another look into the spool for a figure of it; a
long wait for one that keeps silent.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.status import history
from qboxrelay.status.overview import charts
from qboxrelay.status.site import Site


async def show_trouble(site: Site, request: Request, error: str, *, silent: bool = False) -> Response:
    """By what was known before, where nothing newer is to be had in time."""
    looks: list[Awaitable[object]] = [site.health.readiness()]
    if not silent:
        looks.append(site.history.look_again())
    with suppress(TimeoutError):
        async with asyncio.timeout(site.trouble_patience.total_seconds()):
            await asyncio.gather(*looks)
    samples = site.history.samples()
    return site.page(
        request,
        "trouble.html",
        status=503,
        error=error,
        since=site.history.unreadable_since,
        accepted=history.increase(samples, "qboxrelay_mails_accepted_total"),
        turned_away=history.increase(samples, "qboxrelay_mails_refused_total"),
        covered=samples[-1].at - samples[0].at if samples else 0.0,
        charts=charts(samples),
        readiness=site.health.latest(),
        conditions=site.conditions(),
    )
