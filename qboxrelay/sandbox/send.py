"""`POST /v1/send` (API pages send, responses-pagination, errors-retries, limits-quotas-suppression).

In: a request. Out: the documented 202 or error, or the fault that a rule asks for. Never: a request that is accepted in part, unless a
rule says so.
"""

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.sandbox.accept import accept
from qboxrelay.sandbox.answers import Answer, accepted, by_rule, refused, unavailable
from qboxrelay.sandbox.errors import Problem
from qboxrelay.sandbox.faults import Rule
from qboxrelay.sandbox.ledger import Seen
from qboxrelay.sandbox.limits import check_account, check_limits
from qboxrelay.sandbox.misbehave import misbehave
from qboxrelay.sandbox.payload import Payload, check_payload, read_payload
from qboxrelay.sandbox.state import State, state_of
from qboxrelay.sandbox.unfinished import Unfinished


async def send(request: Request) -> Response:
    """One request, from its arrival to its answer."""
    state = state_of(request)
    seen = state.see(request)
    account = state.account_of(request.headers.get("authorization", ""))
    seen.account = account.id if account else None
    rule = state.faults.early(seen.path, seen.account)
    if rule is not None:
        return _answer(state, seen, rule, unavailable(seen.request_id, rule))
    payload = await read_payload(request, max_bytes=state.config.max_payload_bytes)
    seen.bytes, seen.messages = payload.size, len(payload.messages)
    rule = state.faults.late(seen.path, seen.account, payload.messages)
    if rule is not None and rule.action == "delay" and not rule.accept:
        await state.pause(rule.seconds)
    prevented = rule is not None and rule.action != "delay" and not rule.accepts
    answer = unavailable(seen.request_id, rule) if prevented else _process(request, state, seen, payload, rule)
    await state.pause(state.config.latency_seconds)
    if rule is not None and rule.action == "delay" and rule.accept:
        await state.pause(rule.seconds)
    return _answer(state, seen, rule, answer)


def _answer(state: State, seen: Seen, rule: Rule | None, answer: Answer) -> Response:
    if rule is None:
        seen.status = answer.status
        return answer.response()
    seen.fault = rule.action
    response = misbehave(rule, by_rule(rule, answer), state)
    seen.status = None if isinstance(response, Unfinished) else response.status_code
    return response


def _process(request: Request, state: State, seen: Seen, payload: Payload, rule: Rule | None) -> Answer:
    """Token, IP policy, payload, rate, suppression, quota, acceptance: the documented order of work, as far as it is one."""
    account = state.accounts.get(seen.account) if seen.account is not None else None
    problem = check_account(account, request) or check_payload(
        payload, max_messages=state.config.max_messages, switches=state.switches
    )
    wait = 0.0
    if problem is None and account is not None:
        wait = state.over_rate(account.id)
        problem = check_limits(state, account, payload.messages, wait)
    if problem is not None or account is None:
        problem = problem or Problem("unauthorized", "Missing or invalid bearer token.")
        seen.error = state.switches.error(problem.kind)[1]
        return refused(seen.request_id, problem, state.switches, wait)
    judged = accept(state, account, seen, payload.messages, rule)
    return accepted(seen.request_id, judged, state.switches, rule)
