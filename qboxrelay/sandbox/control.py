"""The sandbox's own routes that change it: what to break, what to assume, who may send.

In: requests of users and tests. Out: JSON. Never: a route that Qboxmail has, too: everything is below /sandbox/.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qboxrelay.sandbox.accounts import Account, Domain
from qboxrelay.sandbox.faults import ACTIONS, read_rules
from qboxrelay.sandbox.state import state_of
from qboxrelay.sandbox.switches import Switches

_Model = TypeVar("_Model", bound=BaseModel)
_CODE = re.compile(r"DD([0-9]{1,8})")


async def faults(request: Request) -> Response:
    """GET the rules and the known actions, POST one or more rules, DELETE all."""
    state = state_of(request)
    if request.method == "DELETE":
        state.faults.clear()
        return Response(status_code=204)
    if request.method == "POST":
        try:
            state.faults.add(read_rules(await request.body()))
        except ValidationError as error:
            return _invalid(error)
    return as_json({"rules": state.faults.shown(), "actions": ACTIONS})


async def switches(request: Request) -> Response:
    """GET the switches, PUT new values for some, DELETE to go back to the beginning. Everything here is assumed, not documented."""
    state = state_of(request)
    if request.method == "DELETE":
        state.switches = state.config.switches
    if request.method == "PUT":
        try:
            state.switches = state.switches.changed(_object(await request.body()))
        except ValueError as error:
            return _invalid(error)
    described = {name: field.description for name, field in Switches.model_fields.items()}
    return as_json({"assumed": state.switches.model_dump(mode="json"), "described": described})


async def domains(request: Request) -> Response:
    return as_json([domain.model_dump(mode="json") for domain in state_of(request).domains.values()])


async def domain(request: Request) -> Response:
    """PUT fields to add or change a Delivery domain, DELETE to take it away."""
    state = state_of(request)
    name = request.path_params["name"].lower()
    if request.method == "DELETE":
        return Response(status_code=204 if state.domains.pop(name, None) else 404)
    try:
        new = Domain(name=name, code=_free_code(known.code for known in state.domains.values()))
        changed = _changed(state.domains.get(name) or new, await request.body(), name=name)
    except ValueError as error:
        return _invalid(error)
    state.domains[name] = changed
    return as_json(changed.model_dump(mode="json"))


async def accounts(request: Request) -> Response:
    return as_json([account.model_dump(mode="json") for account in state_of(request).accounts.values()])


async def account(request: Request) -> Response:
    """PUT fields to add or change a Delivery account: its token, quota (`remaining_messages`), whether it is enabled."""
    state = state_of(request)
    number = request.path_params["id"]
    new = Account(id=number, username=f"sandbox-{number}", send_token=f"{state.config.send_token}-{number}")
    try:
        changed = _changed(state.accounts.get(number) or new, await request.body(), id=number)
    except ValueError as error:
        return _invalid(error)
    state.accounts[number] = changed
    return as_json(changed.model_dump(mode="json"))


def as_json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, {"content-type": "application/json"})


def _free_code(taken: Iterable[str]) -> str:
    """A code in the form of the reference's example; others may have been given by hand."""
    numbers = (int(found[1]) for found in map(_CODE.fullmatch, taken) if found)
    return f"DD{max(numbers, default=0) + 1:08}"


def _changed(before: _Model, body: bytes, **kept: object) -> _Model:
    """With the fields of the body; what the path says is kept."""
    fields = {**before.model_dump(mode="json"), **_object(body or b"{}"), **kept}
    return type(before).model_validate_json(orjson.dumps(fields))


def _object(body: bytes) -> dict[str, Any]:
    decoded = orjson.loads(body)
    if not isinstance(decoded, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the client's mistake, answered as one
    return decoded


def _invalid(error: ValueError) -> Response:
    """What is wrong, and where; never the value."""
    if not isinstance(error, ValidationError):
        return as_json({"message": str(error)}, 422)
    problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
    return as_json({"message": "; ".join(problems)}, 422)


ROUTES = [
    Route("/sandbox/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/sandbox/switches", switches, methods=["GET", "PUT", "DELETE"]),
    Route("/sandbox/domains", domains),
    Route("/sandbox/domains/{name}", domain, methods=["PUT", "DELETE"]),
    Route("/sandbox/accounts", accounts),
    Route("/sandbox/accounts/{id:int}", account, methods=["PUT"]),
]
