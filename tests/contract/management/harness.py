"""The relay's client of the Management API, asking a sandbox.

In: a base URL, a token, settings. Out: listings, failures. Never: a look at the client's inside.
"""

import asyncio
from typing import Any

from qboxrelay.model.clock import SystemClock
from qboxrelay.model.sender_domain import Listing, ManagementFailure
from qboxrelay.qboxmail.management import ManagementClient
from qboxrelay.qboxmail.token import FixedToken, TokenSource
from qboxrelay.settings.schema import SenderDomainSettings
from qboxrelay.settings.types import Secret

TOKEN = "sandbox-management-token"


def client(base_url: str, token: str | TokenSource = TOKEN, **settings: Any) -> ManagementClient:
    source = FixedToken(Secret(token)) if isinstance(token, str) else token
    chosen = SenderDomainSettings.model_validate({"base_url": base_url, **settings})
    return ManagementClient(settings=chosen, token=source, clock=SystemClock())


def listed(base_url: str, token: str | TokenSource = TOKEN, **settings: Any) -> Listing:
    async def work() -> Listing:
        management = client(base_url, token, **settings)
        try:
            return await management.listing()
        finally:
            await management.close()

    return asyncio.run(work())


def failed(base_url: str, token: str | TokenSource = TOKEN, **settings: Any) -> ManagementFailure:
    try:
        listed(base_url, token, **settings)
    except ManagementFailure as failure:
        return failure
    raise AssertionError("a listing came")
