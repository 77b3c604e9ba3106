"""Endpoints of the Management API: the token, the ledger, faults, and the shapes of answers (API pages management-api, errors-retries).

In: requests with `X-Api-Token`. Out: what the endpoint answers, or the fault that a rule asks for. Never: the Send token in its place; the
two kinds are not interchangeable.
"""

import functools
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.sandbox.answers import Answer, by_rule
from qboxrelay.sandbox.misbehave import misbehave
from qboxrelay.sandbox.state import State, state_of
from qboxrelay.sandbox.unfinished import Unfinished

_Endpoint = Callable[[Request, State], Awaitable[Answer]]


def managed(endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint behind the token, noted in the ledger, within reach of faults."""

    @functools.wraps(endpoint)
    async def serve(request: Request) -> Response:
        state = state_of(request)
        seen = state.see(request)
        rule = state.faults.early(seen.path, None) or state.faults.late(seen.path, None)
        if rule is None:
            answer = await _answer(endpoint, request, state)
            seen.status = answer.status
            return answer.response()
        seen.fault = rule.action
        if rule.action == "delay":
            await state.pause(rule.seconds)
        served = rule.accepts or rule.action == "delay"
        answer = await _answer(endpoint, request, state) if served else error(503, "Service unavailable")
        response = misbehave(rule, by_rule(rule, answer), state)
        seen.status = None if isinstance(response, Unfinished) else response.status_code
        return response

    return serve


async def _answer(endpoint: _Endpoint, request: Request, state: State) -> Answer:
    given = request.headers.get("x-api-token", "")
    if not hmac.compare_digest(given.encode(), state.config.management_token.encode()):
        return error(401, "Unauthorized")
    return await endpoint(request, state)


async def object_of(request: Request) -> dict[str, Any]:
    try:
        decoded = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def found(body: dict[str, Any]) -> Answer:
    return Answer(status=200, body=orjson.dumps(body))


def error(status: int, message: str) -> Answer:
    return Answer(status=status, body=orjson.dumps({"message": message, "errors": []}))


def invalid(field: str, description: str) -> Answer:
    body = {"message": "Validation failed", "errors": [{"field": field, "description": description}]}
    return Answer(status=422, body=orjson.dumps(body))
