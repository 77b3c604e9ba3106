"""Logging in to the page with the token, and out again.

In: a form. Out: a cookie that scripts cannot read and other sites cannot send. Never: the token in a page, a log or an address.
"""

from datetime import timedelta

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from qboxrelay.status.acts import act_view, local
from qboxrelay.status.doorkeeper import COOKIE
from qboxrelay.status.forms import Form, FormRefused, read_form
from qboxrelay.status.sessions import LASTS, Session
from qboxrelay.status.site import HEADERS, Site

log = structlog.get_logger()

_WRONG_AFTER = timedelta(seconds=1)
"""A wrong token is answered so late."""


async def show_login(site: Site, request: Request) -> Response:
    if (strange := site.wrong_host(request)) is not None:
        return strange
    return site.page(request, "login.html", next=local(request.query_params.get("next", ""), "/"), wrong=False)


async def do_login(site: Site, request: Request) -> Response:
    if (strange := site.wrong_host(request)) is not None:
        return strange
    if not site.keeper.is_from_here(request):
        return site.page(request, "refused.html", status=403, text="This form did not come from a page of this relay.")
    try:
        form = await read_form(request)
    except FormRefused as refused:
        return site.page(request, "refused.html", status=refused.status, text=str(refused))
    session, target = site.keeper.log_in(request, form.one("token")), local(form.one("next"), "/")
    client = request.client.host if request.client is not None else "unknown"
    if session is None:
        log.warning("page.login_refused", client=client)
        await site.clock.sleep(_WRONG_AFTER)
        return site.page(request, "login.html", status=403, next=target, wrong=True)
    log.info("page.login_accepted", client=client, by=session.user)
    response = RedirectResponse(target, 303, headers=HEADERS)
    response.set_cookie(
        COOKIE, session.id, max_age=int(LASTS.total_seconds()), path="/",
        httponly=True, samesite="strict", secure=site.keeper.is_encrypted(request),
    )  # fmt: skip
    return response


async def _log_out(site: Site, _request: Request, _form: Form, session: Session) -> Response:
    site.keeper.log_out(session)
    response = RedirectResponse("/", 303, headers=HEADERS)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


do_logout = act_view(_log_out)
