"""What operators do from the page: retry, release, hold, delete; pause and resume.

In: forms of a session. Out: what was done and what was refused. Never: an act without a session, its own CSRF text and an Origin of ours; a
deletion that was not confirmed.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.queue import AT_ONCE, Act
from qboxrelay.status.forms import Form, FormRefused, read_form
from qboxrelay.status.sessions import Session
from qboxrelay.status.site import HEADERS, Site

_ELSEWHERE = (
    "This form did not come from a page of this relay. If it did: a proxy in front of it has to pass on Host and Origin "
    "as the browser sends them."
)
_LOGGED_OUT = "You are not logged in any more, and nothing was done. Log in, then try again."
_LONGEST_WHY = 200

Work = Callable[[Site, Request, Form, Session], Awaitable[Response]]


def act_view(work: Work) -> Callable[[Site, Request], Awaitable[Response]]:
    """A view that does something for who is logged in."""

    async def respond(site: Site, request: Request) -> Response:
        try:
            form = await read_form(request)
            return await work(site, request, form, _session(site, request, form))
        except FormRefused as refused:
            return site.page(request, "refused.html", status=refused.status, text=str(refused))
        except SpoolError as error:
            return site.page(request, "trouble.html", status=503, error=str(error))

    return respond


async def _act(site: Site, request: Request, form: Form, session: Session) -> Response:
    """With ids that were ticked, or the one of a page. Deleting is asked about first."""
    ids, back = form.all("id"), local(form.one("back"), "/messages")
    try:
        act = Act(form.one("act"))
    except ValueError:
        raise FormRefused(400, "There is no such act.") from None
    if not ids:
        raise FormRefused(400, "No message was chosen: tick some first.")
    if len(ids) > AT_ONCE:
        raise FormRefused(400, f"At most {AT_ONCE} messages at once.")
    if act is Act.DELETE and form.one("sure") != "yes":
        return site.page(request, "sure.html", ids=ids, back=back)
    done = await site.queue.act(act, ids, by=_by(session))
    return site.page(request, "done.html", act=act, done=done, back=back)


async def _pause(site: Site, _request: Request, form: Form, session: Session) -> Response:
    account = _account(site, form)
    await site.queue.pause(account, by=_by(session), why=form.one("why").strip()[:_LONGEST_WHY])
    return RedirectResponse("/accounts", 303, headers=HEADERS)


async def _resume(site: Site, _request: Request, form: Form, session: Session) -> Response:
    await site.queue.resume(form.one("account"), by=_by(session))
    return RedirectResponse("/accounts", 303, headers=HEADERS)


def local(target: str, otherwise: str) -> str:
    """A path of this site, or the other one: nobody is sent elsewhere by a link that they were given."""
    fine = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if fine else otherwise


def _session(site: Site, request: Request, form: Form) -> Session:
    if not site.keeper.is_from_here(request):
        raise FormRefused(403, _ELSEWHERE)
    session = site.visitor(request).session
    if session is None or not session.owns(form.one("csrf")):
        raise FormRefused(403, _LOGGED_OUT)
    return session


def _account(site: Site, form: Form) -> str:
    """Empty for all of them."""
    account = form.one("account")
    if account and account not in [one.name for one in site.settings.accounts]:
        raise FormRefused(400, "There is no such account.")
    return account


def _by(session: Session) -> str:
    return f"page:{session.user}"


do_act, do_pause, do_resume = act_view(_act), act_view(_pause), act_view(_resume)
