"""The relays that work on the same spool.

In: what each of them said of itself. Out: a page. Never: a page that waits for one of them.
"""

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.status.site import Site


async def show_nodes(site: Site, request: Request) -> Response:
    nodes = None if site.nodes is None else await site.nodes()
    return site.page(request, "nodes.html", nodes=nodes)
