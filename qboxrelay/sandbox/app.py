"""The sandbox as an ASGI application.

In: a configuration. Out: the application. Never: state outside of it.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qboxrelay.sandbox import control, inbox, looking, management, suppression_api, tracemail
from qboxrelay.sandbox.config import SandboxConfig
from qboxrelay.sandbox.send import send
from qboxrelay.sandbox.state import State

__all__ = ["SandboxConfig", "create_app"]


async def start_over(request: Request) -> Response:
    """Everything as at the start; requests that wait on purpose end."""
    before: State = request.app.state.sandbox
    request.app.state.sandbox = State(before.config)
    before.closing.set()
    return Response(status_code=204)


def create_app(config: SandboxConfig) -> Starlette:
    """Faults that end connections need the connections of `SandboxServer`."""
    app = Starlette(
        routes=[
            Route("/v1/send", send, methods=["POST"]),
            *management.ROUTES,
            *suppression_api.ROUTES,
            *tracemail.ROUTES,
            *looking.ROUTES,
            *control.ROUTES,
            *inbox.ROUTES,
            Route("/sandbox", start_over, methods=["DELETE"]),
        ]
    )
    app.state.sandbox = State(config)
    return app
