"""The sandbox's own routes that show what arrived.

In: requests of users and tests. Out: JSON. Never: a token.
"""

from dataclasses import asdict
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qboxrelay.sandbox.control import as_json
from qboxrelay.sandbox.ledger import Received
from qboxrelay.sandbox.state import state_of


async def list_messages(request: Request) -> Response:
    """Newest last. `since` a number, `limit` of the newest, `subject` and `to` as parts of a text, `header` as NAME or NAME:VALUE.

    With `content=0`, attachments come without their content.
    """
    query = request.query_params
    since = _number(query, "since", 0)
    found = [one for one in state_of(request).ledger.inbox if one.number > since and _fits(one, query)]
    limit = _number(query, "limit", len(found))
    shown = found[-limit:] if limit else []
    return as_json([_shown(one, with_content=query.get("content") != "0") for one in shown])


async def clear_messages(request: Request) -> Response:
    state_of(request).ledger.clear_messages()
    return Response(status_code=204)


async def list_requests(request: Request) -> Response:
    """Requests to the Send API, newest last; with `path`, those whose path starts so. `limit` of the newest."""
    query = request.query_params
    path = query.get("path", "/v1/")
    found = [seen for seen in state_of(request).ledger.requests if seen.path.startswith(path)]
    limit = _number(query, "limit", len(found))
    return as_json([asdict(seen) for seen in (found[-limit:] if limit else [])])


async def clear_requests(request: Request) -> Response:
    state_of(request).ledger.requests.clear()
    return Response(status_code=204)


async def totals(request: Request) -> Response:
    """Counts that stay true when the inbox forgets: messages accepted since it was cleared, and how many are remembered."""
    ledger = state_of(request).ledger
    return as_json({"accepted": ledger.accepted, "remembered": len(ledger.inbox), "requests": len(ledger.requests)})


def _fits(received: Received, query: QueryParams) -> bool:
    message = received.message
    if query.get("subject") and query["subject"] not in str(message.get("subject")):
        return False
    if query.get("to") and not any(query["to"] in str(message.get(field)) for field in ("to", "cc", "bcc")):
        return False
    name, colon, value = query.get("header", "").partition(":")
    if not name:
        return True
    texts = [str(v) for n, v in (message.get("headers") or {}).items() if n.lower() == name.strip().lower()]
    return bool(texts) and (not colon or value.strip() in texts[0])


def _shown(received: Received, *, with_content: bool) -> dict[str, Any]:
    message = received.message
    if not with_content and message.get("attachments"):
        bare = [{name: value for name, value in item.items() if name != "content"} for item in message["attachments"]]
        message = {**message, "attachments": bare}
    return {
        "number": received.number,
        "request_id": received.request_id,
        "message_id": received.message_id,
        "account": received.account,
        "position": received.position,
        "received_at": received.received_at,
        "message": message,
    }


def _number(query: QueryParams, name: str, default: int) -> int:
    value = query.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 10 else default


ROUTES = [
    Route("/sandbox/messages", list_messages),
    Route("/sandbox/messages", clear_messages, methods=["DELETE"]),
    Route("/sandbox/requests", list_requests),
    Route("/sandbox/requests", clear_requests, methods=["DELETE"]),
    Route("/sandbox/totals", totals),
]
