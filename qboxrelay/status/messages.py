"""The queue as a list, with search and filters.

In: a query string. Out: a page of at most fifty submissions, and where to go on. Never: a look through more of the spool than is bounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.model.clock import Clock
from qboxrelay.model.submission import State
from qboxrelay.spool.queue import POSSIBLE, Act, Page, Queue, Selection
from qboxrelay.status.site import Site

_SHOWN = 50
_TRACED = 200
_LOOK = 2_000
"""Submissions of a state that one page looks through; "look further" goes on from there."""
_LONGEST = 200
STATES = {
    "": ("Any but sent", frozenset(State) - {State.SENT}),
    "waiting": ("Waiting", frozenset({State.QUEUED, State.SENDING})),
    "failed": ("Failed", frozenset({State.FAILED})),
    "held": ("Held", frozenset({State.HELD})),
    "sent": ("Sent", frozenset({State.SENT})),
    "all": ("Any", frozenset(State)),
}
AGES = {
    "": ("Any time", None),
    "15m": ("Last 15 minutes", timedelta(minutes=15)),
    "1h": ("Last hour", timedelta(hours=1)),
    "1d": ("Last day", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query as it was given; empty is any. What is not among the choices counts as empty."""

    text: str = ""
    state: str = ""
    account: str = ""
    domain: str = ""
    client: str = ""
    error: str = ""
    newer: str = ""
    before: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        given = {name: query.get(name, "").strip()[:_LONGEST] for name in ("account", "domain", "client", "error")}
        before = query.get("before", "")
        return cls(
            text=query.get("q", "").strip()[:_LONGEST],
            state=query.get("state", "") if query.get("state", "") in STATES else "",
            newer=query.get("newer", "") if query.get("newer", "") in AGES else "",
            before=int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None,
            **given,
        )

    @property
    def narrowed(self) -> bool:
        """Whether one of the filters behind the search is set."""
        return any((self.account, self.domain, self.client, self.error, self.newer))

    def selection(self, clock: Clock) -> Selection:
        # A search by text means sent mail as well, unless a state is named.
        state = "all" if self.text and not self.state else self.state
        newest = AGES[self.newer][1]
        return Selection(
            states=STATES[state][1],
            account=self.account,
            domain=self.domain.lstrip("@"),
            client=self.client,
            error=self.error,
            received_after=None if newest is None else clock.now() - newest,
        )

    def link(self, before: int) -> str:
        """To what follows."""
        named = {
            "q": self.text, "state": self.state, "account": self.account, "domain": self.domain,
            "client": self.client, "error": self.error, "newer": self.newer, "before": str(before),
        }  # fmt: skip
        return "/messages?" + urlencode({name: value for name, value in named.items() if value})


async def show_messages(site: Site, request: Request) -> Response:
    asked = Asked.of(request.query_params)
    page = await find(site.queue, asked, asked.selection(site.clock))
    acts = [act for act in Act if any(record.state in POSSIBLE[act] for record in page.records)]
    return site.page(
        request,
        "messages.html",
        asked=asked,
        records=page.records,
        more=None if page.next is None else asked.link(page.next),
        cut=len(page.records) < _SHOWN,
        states=STATES,
        ages=AGES,
        accounts=[account.name for account in site.settings.accounts],
        acts=acts,
    )


async def find(queue: Queue, asked: Asked, selection: Selection) -> Page:
    """By id, Message-ID or recipient; what is none of these is looked for as a sender or, without an @, in the API's answers."""
    if asked.text and asked.before is None:
        traced = await queue.trace(asked.text, limit=_TRACED)
        if found := tuple(record for record in traced if selection.matches(record)):
            return Page(records=found, next=None)
    if "@" in asked.text:
        selection = replace(selection, address=asked.text)
    elif asked.text:
        selection = replace(selection, error=asked.text)
    return await queue.select(selection, before=asked.before, limit=_SHOWN, look=_LOOK)
