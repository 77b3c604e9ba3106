"""TraceMail, as far as it is documented: rows are opaque (API pages getApiDeliveryTracemailMailouts, getApiDeliveryTracemailCounters).

In: GET requests. Out: rows and counters over the remembered messages, each counted as delivered. Never: a row schema to rely on; the text
in `data` is ASSUMED.
"""

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.routing import Route

from qboxrelay.sandbox.addresses import read_addresses
from qboxrelay.sandbox.answers import Answer
from qboxrelay.sandbox.check import recipients_of
from qboxrelay.sandbox.ledger import Received
from qboxrelay.sandbox.managed import found, managed
from qboxrelay.sandbox.paging import page_of
from qboxrelay.sandbox.state import State

_COUNTERS = (
    "all",
    "delivered",
    "suppressed",
    "bounce",
    "queued",
    "errors",
    "authErrors",
    "limitsErrors",
    "genericErrors",
)


@managed
async def mailouts(request: Request, state: State) -> Answer:
    rows = [{"data": _row(received)} for received in _matching(state, request.query_params)]
    return found(page_of(rows, request.query_params, state.switches, per=30))


@managed
async def counters(request: Request, state: State) -> Answer:
    count = len(_matching(state, request.query_params))
    return found(dict.fromkeys(_COUNTERS, 0) | {"all": count, "delivered": count})


def _matching(state: State, query: QueryParams) -> list[Received]:
    """Newest first. ASSUMED: text filters look for parts, `to` at every recipient, `domain` at the sender's."""
    texts = {field: query[field].lower() for field in ("from", "to", "subject", "domain") if query.get(field)}
    elsewhere = query.get("auth_protocol") == "smtp" or query.get("collection", "worked") != "worked"
    if elsewhere or query.get("status", "delivered") != "delivered":
        return []
    return [received for received in reversed(state.ledger.inbox) if _fits(received, texts)]


def _fits(received: Received, texts: dict[str, str]) -> bool:
    sender = " ".join(read_addresses(received.message.get("from")) or ()).lower()
    searched = {
        "from": sender,
        "to": " ".join(recipients_of(received.message)).lower(),
        "subject": str(received.message.get("subject", "")).lower(),
        "domain": sender.rpartition("@")[2],
    }
    return all(text in searched[field] for field, text in texts.items())


def _row(received: Received) -> str:
    row = {
        "message_id": received.message_id,
        "request_id": received.request_id,
        "to": recipients_of(received.message),
        "subject": received.message.get("subject"),
        "status": "delivered",
    }
    return orjson.dumps(row).decode()


ROUTES = [
    Route("/api/delivery/tracemail/mailouts", mailouts),
    Route("/api/delivery/tracemail/counters", counters),
]
