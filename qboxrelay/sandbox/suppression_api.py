"""The suppression list over HTTP (API pages getApiDeliverySuppressionLists, postApiDeliverySuppressionListsDetails and their sibling).

In: requests to list, look up, add. Out: resources, or nothing. Never: a lookup that changes the list.
"""

from starlette.requests import Request
from starlette.routing import Route

from qboxrelay.sandbox.answers import Answer, now_text
from qboxrelay.sandbox.managed import found, invalid, managed, object_of
from qboxrelay.sandbox.paging import page_of
from qboxrelay.sandbox.state import State
from qboxrelay.sandbox.suppressions import REASONS


@managed
async def list_suppressions(request: Request, state: State) -> Answer:
    resources = [one.resource() for one in state.suppressions.matching(request.query_params)]
    return found(page_of(resources, request.query_params, state.switches))


@managed
async def look_up_suppression(request: Request, state: State) -> Answer:
    """That an address which is not on the list gives an empty list is ASSUMED."""
    email = (await object_of(request)).get("email")
    if not isinstance(email, str) or not email:
        return invalid("email", "is required")
    one = state.suppressions.find(email)
    return found({"resources": [one.resource()] if one else []})


@managed
async def add_suppression(request: Request, state: State) -> Answer:
    body = await object_of(request)
    email, reason = body.get("email"), body.get("reason")
    if not isinstance(email, str) or not email:
        return invalid("email", "is required")
    if reason not in REASONS:
        return invalid("reason", "is not included in the list")
    state.suppressions.add(email, reason, now_text())
    return Answer(status=204, body=b"", headers={})


ROUTES = [
    Route("/api/delivery/suppression_lists", list_suppressions),
    Route("/api/delivery/suppression_lists", add_suppression, methods=["POST"]),
    Route("/api/delivery/suppression_lists/details", look_up_suppression, methods=["POST"]),
]
