"""The pages' common ground: what they may look at, who is let in, how a page is made.

In: requests. Out: HTML with headers that let it run nothing but our own. Never: mail's content; a page for somebody whom the doorkeeper did not
let in.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from qboxrelay.model.clock import Clock
from qboxrelay.model.sender_domain import DeliveryDomain, DomainReport, SenderFacts, shown
from qboxrelay.settings.schema import Settings
from qboxrelay.spool.port import SpoolError
from qboxrelay.spool.queue import Queue
from qboxrelay.spool.shared import Node
from qboxrelay.status import words
from qboxrelay.status.doorkeeper import Doorkeeper, Visitor
from qboxrelay.status.health import Health
from qboxrelay.status.history import History

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": with it browsers send "Origin: null" with forms, which says nothing.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_AT_ONCE = 2
"""Pages that look into the spool; its reads take threads that the mail needs, too."""
_WRONG_HOST = (
    "This relay is not known by the name {host}. Ask for it by its IP address, or add the name to hosts in [status].\n"
)
_NO_TOKEN = "Show the token of [status] as Authorization: Bearer.\n"  # noqa: S105 - a sentence


class Domains(Protocol):
    """What the page needs of the sender domains."""

    def names(self) -> list[str]: ...

    def listed(self, name: str) -> DeliveryDomain | None: ...

    def accounts_of(self, name: str) -> list[str]: ...

    def standing(self, name: str) -> SenderFacts: ...

    async def report(self, name: str) -> DomainReport | None: ...


View = Callable[["Site", Request], Awaitable[Response]]


class Trouble(Protocol):
    """What is shown instead. `silent`: the spool was waited for long enough."""

    def __call__(self, site: "Site", request: Request, error: str, *, silent: bool = False) -> Awaitable[Response]: ...


@dataclass(kw_only=True)
class Site:
    """`conditions` says how each account is, as /readyz shows it; `domains` is None where every domain may send, `nodes` where the relay has its
    spool for itself.
    """

    name: str
    version: str
    settings: Settings
    queue: Queue
    history: History
    health: Health
    conditions: Callable[[], dict[str, object]]
    domains: Domains | None
    keeper: Doorkeeper
    clock: Clock
    nodes: Callable[[], Awaitable[list[Node]]] | None = None
    patience: timedelta = timedelta(seconds=15)
    """With a look into the spool: a server that keeps silent must not keep people waiting."""
    trouble_patience: timedelta = timedelta(seconds=6)
    """With what is shown instead: a little longer than a probe takes."""

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def adopt(self, settings: Settings, domains: Domains | None) -> None:
        """Show these from now on; [status] itself does not change while the relay runs."""
        self.settings, self.domains = settings, domains
        # Made anew from what [log] says now: what the log may not show any more, no page shows.
        for made in ("discretion", "_templates"):
            self.__dict__.pop(made, None)

    def view(
        self, make: View, trouble: Trouble, *, reads_spool: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        """A page for those who may read, or what `trouble` shows where the spool cannot be read. Those that read the spool take turns."""
        turn = self._turns if reads_spool else nullcontext()

        async def respond(request: Request) -> Response:
            refused = self.refusal(request)
            if refused is not None:
                return refused
            # What was begun to be changed is not cut off.
            longest = self.patience.total_seconds() if request.method == "GET" else None
            try:
                async with asyncio.timeout(longest), turn:
                    return await make(self, request)
            except SpoolError as error:
                return await trouble(self, request, str(error))
            except TimeoutError:
                silence = f"The spool gave no answer within {words.span(self.patience)}."
                return await trouble(self, request, silence, silent=True)

        return respond

    def refusal(self, request: Request) -> Response | None:
        """None for those who may read; others are shown the way."""
        if self.keeper.shows_token(request):
            return None
        if (strange := self.wrong_host(request)) is not None:
            return strange
        if self.keeper.visitor(request) is not None:
            return None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/login?{urlencode({'next': _here(request)})}", 303, headers=HEADERS)
        return PlainTextResponse(_NO_TOKEN, 401, headers=HEADERS | {"WWW-Authenticate": 'Bearer realm="qboxrelay"'})

    def wrong_host(self, request: Request) -> Response | None:
        """For a browser that was led here by a name that is not ours."""
        if self.keeper.knows_host(request):
            return None
        host = words.plain(request.headers.get("host", "")) or "that it was asked by"
        return PlainTextResponse(_WRONG_HOST.format(host=host), 421, headers=HEADERS)

    def visitor(self, request: Request) -> Visitor:
        """Of a request that was let in."""
        return self.keeper.visitor(request) or Visitor(name="nobody")

    def page(self, request: Request, template: str, *, status: int = 200, **values: object) -> Response:
        visitor = self.visitor(request)
        text = self._templates.get_template(template).render(
            session=visitor.session, visitor=visitor, path=request.scope["path"], here=_here(request), now=self.clock.now(), **values
        )  # fmt: skip
        return HTMLResponse(text, status, headers=HEADERS)

    def age(self, at: datetime) -> str:
        return words.span(self.clock.now() - at)

    @cached_property
    def discretion(self) -> words.Discretion:
        return words.Discretion(self.settings.log)

    @cached_property
    def _templates(self) -> Environment:
        found = Environment(
            loader=PackageLoader("qboxrelay.status", "pages"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        found.filters |= {
            "span": words.span, "moment": words.moment, "size": words.size, "count": words.count, "plain": words.plain, "clause": words.clause,
            "ago": self.age, "address": self.discretion.address, "said": self.discretion.text,
            "subject": self.discretion.subject, "segment": lambda text: quote(str(text), safe=""), "domain": shown,
        }  # fmt: skip
        found.globals |= {"site": self}
        return found


def _here(request: Request) -> str:
    """Of the scope and not of `request.url`, which reads the Host header."""
    query = request.scope["query_string"].decode("latin-1")
    return str(request.scope["path"]) + (f"?{query}" if query else "")
