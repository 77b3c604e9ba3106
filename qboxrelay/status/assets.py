"""The stylesheet, the script and the icon of the pages.

In: nothing. Out: files of this package. Never: anything from elsewhere; a file that is not named here.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qboxrelay.status.site import HEADERS

_TYPES = {"status.css": "text/css", "status.js": "text/javascript", "icon.svg": "image/svg+xml"}


@cache
def _content(name: str) -> bytes:
    return (files("qboxrelay.status") / "pages" / name).read_bytes()


def _serve(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def respond(_request: Request) -> Response:
        return Response(_content(name), media_type=_TYPES[name], headers=HEADERS)

    return respond


ROUTES = [Route(f"/assets/{name}", _serve(name)) for name in _TYPES]
