"""The accounts: how each is, what it has to send, whether somebody paused it.

In: the settings, conditions, figures. Out: a page. Never: a token.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.model.submission import State
from qboxrelay.spool.queue import Overview
from qboxrelay.status.site import Site


async def show_accounts(site: Site, request: Request) -> Response:
    totals = await site.queue.overview()
    conditions: dict[str, Any] = site.conditions()
    accounts = [
        {
            "settings": account,
            "condition": conditions.get(account.name, {}),
            "messages": _messages(totals, account.name),
            "pause": next((one for one in totals.pauses if one.account == account.name), None),
        }
        for account in site.settings.accounts
    ]
    known = {account.name for account in site.settings.accounts}
    strangers = sorted({one.account for one in totals.totals if one.account not in known})
    return site.page(
        request,
        "accounts.html",
        accounts=accounts,
        everything=next((one for one in totals.pauses if not one.account), None),
        strangers=[{"name": name, "messages": _messages(totals, name)} for name in strangers],
    )


def _messages(totals: Overview, account: str) -> dict[str, int]:
    """By state; every state is there."""
    found = dict.fromkeys((state.value for state in State), 0)
    for one in totals.totals:
        if one.account == account:
            found[one.state] += one.messages
    return found
