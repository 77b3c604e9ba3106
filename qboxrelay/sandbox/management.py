"""Delivery domains and accounts (API pages getApiDeliveryDomains, getApiDeliveryAccounts, getApiDeliveryAccountsId).

In: GET requests. Out: `{"resources": [...]}`, lists with `pagination`. Never: a change; the sandbox's own routes do that.
"""

from starlette.requests import Request
from starlette.routing import Route

from qboxrelay.sandbox.answers import Answer
from qboxrelay.sandbox.managed import error, found, managed
from qboxrelay.sandbox.paging import page_of, sorted_by
from qboxrelay.sandbox.resources import account_resource, domain_resource
from qboxrelay.sandbox.state import State


@managed
async def list_domains(request: Request, state: State) -> Answer:
    status, text = request.query_params.get("status") or "all", request.query_params.get("query", "").lower()
    resources = [
        domain_resource(domain, state.accounts.values(), state.switches)
        for domain in state.domains.values()
        if status in {"all", domain.display_status} and text in domain.name
    ]
    return found(page_of(sorted_by(resources, request.query_params), request.query_params, state.switches))


@managed
async def list_accounts(request: Request, state: State) -> Answer:
    query = request.query_params
    kind, status = query.get("type") or None, query.get("status") or "all"
    ids = {part.strip() for part in query.get("ids", "").split(",") if part.strip()}
    resources = [
        account_resource(account, state.domains.values(), state.switches, with_domains=bool(query.get("with_domains")))
        for account in state.accounts.values()
        if kind in {None, account.type}
        and status in {"all", "enabled" if account.enabled else "disabled"}
        and (not ids or str(account.id) in ids)
        and query.get("query", "").lower() in account.username
    ]
    return found(page_of(resources, query, state.switches))


@managed
async def get_account(request: Request, state: State) -> Answer:
    account = state.accounts.get(request.path_params["id"])
    if account is None:
        return error(404, "Not found")
    resource = account_resource(account, state.domains.values(), state.switches, with_domains=True)
    return found({"resources": [resource]})


ROUTES = [
    Route("/api/delivery/domains", list_domains),
    Route("/api/delivery/accounts", list_accounts),
    Route("/api/delivery/accounts/{id:int}", get_account),
]
