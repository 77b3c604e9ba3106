"""The routes of the HTTP listener.

In: requests. Out: metrics in the format that the scraper asks for, health as JSON, the status page. Never: a page or a metric for somebody whom
the doorkeeper did not let in; health is open.
"""

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qboxrelay.status import assets
from qboxrelay.status.accounts import show_accounts
from qboxrelay.status.acts import do_act, do_pause, do_resume
from qboxrelay.status.domains import show_domain, show_domains
from qboxrelay.status.health import Health
from qboxrelay.status.login import do_login, do_logout, show_login
from qboxrelay.status.message import show_message
from qboxrelay.status.messages import show_messages
from qboxrelay.status.nodes import show_nodes
from qboxrelay.status.overview import show_overview
from qboxrelay.status.site import Site, View
from qboxrelay.status.trouble import show_trouble


def create_app(
    *,
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]],
    health: Health,
    site: Site | None = None,
) -> Starlette:
    """`refresh` brings figures up to date that are not counted as they happen. Without `site` there are no pages."""

    async def metrics(request: Request) -> Response:
        if site is not None and (refused := site.refusal(request)) is not None:
            return refused
        await refresh()
        await health.readiness()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        readiness = await health.readiness()
        body = {
            "status": "ready" if readiness.ready else "not ready",
            "reasons": readiness.reasons,
            **readiness.detail,
        }
        return JSONResponse(body, status_code=200 if readiness.ready else 503)

    routes = [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]
    return Starlette(routes=routes if site is None else [*routes, *assets.ROUTES, *_pages(site)])


def _pages(site: Site) -> list[Route]:
    def form(path: str, view: View) -> Route:
        return Route(path, site.view(view, show_trouble), methods=["POST"])

    def look(path: str, view: View, *, reads_spool: bool = True) -> Route:
        return Route(path, site.view(view, show_trouble, reads_spool=reads_spool))

    async def login(request: Request) -> Response:
        return await (do_login if request.method == "POST" else show_login)(site, request)

    return [
        look("/", show_overview),
        look("/messages", show_messages),
        look("/messages/{id}", show_message),
        look("/accounts", show_accounts),
        look("/domains", show_domains, reads_spool=False),
        look("/domains/{name}", show_domain, reads_spool=False),
        look("/nodes", show_nodes),
        Route("/login", login, methods=["GET", "POST"]),
        form("/logout", do_logout),
        form("/act", do_act),
        form("/accounts/pause", do_pause),
        form("/accounts/resume", do_resume),
    ]
