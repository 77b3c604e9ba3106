"""The Management API: which Delivery domains and accounts a token sees, what TraceMail lists, and asking for a domain to be verified.

In: a token of a Qboxmail user (`X-Api-Token`, API page authentication). Out: `Listing`. Never: half a listing, which would turn the domains
of a missing page into unknown ones; a Send token; an answer's text in full; a redirect followed.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from qboxrelay.model.clock import Clock
from qboxrelay.model.sender_domain import DeliveryDomain, Listing, ManagementFailure
from qboxrelay.qboxmail.body import decoded
from qboxrelay.qboxmail.connections import Connections, Handshake
from qboxrelay.qboxmail.lenient import count_of, pruned, text_of, texts_in
from qboxrelay.qboxmail.management_errors import failure_of, http_failure
from qboxrelay.qboxmail.resources import linked, read_account
from qboxrelay.qboxmail.tls import client_context
from qboxrelay.qboxmail.token import TokenSource, TokenUnreadable
from qboxrelay.settings.schema import SenderDomainSettings

_DOMAINS = "/api/delivery/domains"
_ACCOUNTS = "/api/delivery/accounts"
_MAILOUTS = "/api/delivery/tracemail/mailouts"
_ACCOUNT_FACTS = (
    "id", "username", "status_detail", "type", "allow_nets", "bounce_notification", "bounce_notification_to_sender",
    "ignore_suppression_list", "remaining_messages",
)  # fmt: skip
_TOKEN_FACTS = ("label", "token_preview", "allow_nets", "last_used_at")
_PER_PAGE = 100
"""The documentation names no cap on `per`; what comes is counted, not what was asked for."""
_MAX_PAGES = 1000
_MAX_PAGE_BYTES = 20_000_000
_TRIES = 3
"""A list that changes while its pages are read comes out short: then it is read anew."""
_NAMES = ("id", "code", "name", "username")

Resource = Mapping[str, Any]


class ManagementClient:
    """The Management API for one token. `close()` ends its connections."""

    def __init__(self, *, settings: SenderDomainSettings, token: TokenSource, clock: Clock) -> None:
        self._settings = settings
        self._token = token
        self._clock = clock
        self._deadline = settings.api_deadline
        tls = client_context(ca_file=settings.ca_file, certificate_file=None, certificate_key_file=None)
        self._connections = Connections(
            lambda: httpx.AsyncClient(
                base_url=settings.base_url.rstrip("/"),
                verify=tls,
                proxy=settings.proxy or None,
                follow_redirects=False,
                timeout=httpx.Timeout(self._deadline.total_seconds()),
                limits=httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=5.0),
                headers={"User-Agent": "qboxrelay", "Accept": "application/json", "Accept-Encoding": "identity"},
            )
        )

    async def listing(self) -> Listing:
        """All Delivery domains and accounts, over all pages. Raises `ManagementFailure`."""
        # It is as old as its first page.
        asked_at = self._clock.now()
        domains = await self._all(_DOMAINS, {})
        accounts = await self._all(_ACCOUNTS, {"with_domains": "true"})
        # Thousands of domains take a while to read, and mail goes on.
        listing = await asyncio.to_thread(_read, asked_at, domains, accounts)
        if domains and not listing.domains:
            raise ManagementFailure("unreadable", "the Management API listed domains, but none has a name")
        return listing

    async def verify(self, domain: DeliveryDomain) -> str:
        """Ask for the domain's DNS to be verified, by the configured request; the API's words. Raises `ManagementFailure`."""
        path = self._settings.verify_path.format(code=quote(domain.code, safe=""), name=quote(domain.name, safe=""))
        response = await self._request(self._settings.verify_method, path, {})
        body = _decoded(response)
        said = text_of(body.get("message")) if isinstance(body, dict) else ""
        return f"HTTP {response.status_code}{f': {said}' if said else ''}"

    async def mailouts(self, query: Mapping[str, str]) -> list[Resource]:
        """What TraceMail lists first for a query, as it comes: no row's fields are documented. Raises `ManagementFailure`."""
        return (await self._page(_MAILOUTS, {**query, "page": "1", "per": str(_PER_PAGE)}))[0]

    async def account_facts(self) -> list[dict[str, str]]:
        """What every account says of itself, as text by documented field; never its password. Raises `ManagementFailure`."""
        accounts = await self._all(_ACCOUNTS, {"with_domains": "true"})
        return [{name: _shown(account.get(name)) for name in _ACCOUNT_FACTS if name in account} for account in accounts]

    async def token_facts(self, account: str) -> list[dict[str, str]]:
        """The Send API tokens of an account, by its id: label, preview, allow-list, last use. Raises `ManagementFailure`."""
        tokens, _ = await self._page(f"{_ACCOUNTS}/{quote(account, safe='')}/api_tokens", {})
        return [{name: _shown(token.get(name)) for name in _TOKEN_FACTS if name in token} for token in tokens]

    async def close(self) -> None:
        await self._connections.close()

    async def _all(self, path: str, query: Mapping[str, str]) -> list[Resource]:
        before: dict[object, Resource] = {}
        for _ in range(_TRIES):
            found, rows, total = await self._pages(path, query)
            # What is twice in it each time is twice in it.
            if len(found) >= total or (rows >= total and found.keys() == before.keys()):
                return list(found.values())
            before = found
        raise ManagementFailure("incomplete", f"{path} came without some of the {total} resources that it announces")

    async def _pages(self, path: str, query: Mapping[str, str]) -> tuple[dict[object, Resource], int, int]:
        """The resources of all pages, each once; their rows; and the most that the API said there are: where one vanishes from a page
        that was read, all others move up, and one of them onto that page.
        """
        found: dict[object, Resource] = {}
        rows = total = 0
        for number in range(1, _MAX_PAGES + 1):
            resources, pagination = await self._page(path, {**query, "page": str(number), "per": str(_PER_PAGE)})
            before = len(found)
            rows += len(resources)
            found.update((_identity(resource), resource) for resource in resources)
            total = max(total, count_of(pagination.get("total_records")) or 0)
            pages = count_of(pagination.get("total_pages"))
            # Where the API does not say how many pages there are, the last one is the one that brings nothing new.
            if not resources or (len(found) == before if pages is None else number >= pages):
                return found, rows, total
        raise ManagementFailure("incomplete", f"{path} has more than {_MAX_PAGES} pages")

    async def _page(self, path: str, query: Mapping[str, str]) -> tuple[list[Resource], Mapping[str, Any]]:
        body = _decoded(await self._request("GET", path, query))
        resources = body.get("resources") if isinstance(body, dict) else None
        if isinstance(resources, dict):
            resources = [resources]
        if not isinstance(body, dict) or not isinstance(resources, list):
            raise ManagementFailure("unreadable", f"{path} answered something that is not the Management API's JSON")
        pagination = body.get("pagination")
        named: list[Resource] = [resource for resource in map(pruned, resources) if isinstance(resource, dict)]
        return named, pagination if isinstance(pagination, dict) else {}

    async def _request(self, method: str, path: str, query: Mapping[str, str]) -> httpx.Response:
        try:
            headers = {"X-Api-Token": self._token.current().reveal()}
            async with self._connections.lend() as pool, asyncio.timeout(self._deadline.total_seconds()):
                response = await self._answer(pool.client, method, path, query, headers)
        except TokenUnreadable as error:
            raise ManagementFailure("token", str(error)) from None
        except TimeoutError:
            raise ManagementFailure("timeout", _late(self._deadline)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise failure_of(error) from None
        if not response.is_success:
            raise http_failure(response.status_code, _message(response))
        return response

    async def _answer(
        self, client: httpx.AsyncClient, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> httpx.Response:
        """The whole answer, up to a limit."""
        extensions = {"trace": Handshake().trace}
        async with client.stream(method, path, params=query, headers=headers, extensions=extensions) as response:
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > _MAX_PAGE_BYTES:
                    raise ManagementFailure("unreadable", f"{path} answered more than {_MAX_PAGE_BYTES} bytes")
                parts.append(part)
        body = decoded(b"".join(parts), response.headers.get("content-encoding", ""), _MAX_PAGE_BYTES)
        return httpx.Response(response.status_code, content=body)


def _read(asked_at: datetime, domains: list[Resource], accounts: list[Resource]) -> Listing:
    known = tuple(account for account in map(read_account, accounts) if account is not None)
    return Listing(fetched_at=asked_at, domains=linked(domains, accounts), accounts=known)


def _identity(resource: Resource) -> object:
    """What tells a resource from the others, and knows it again on another page."""
    names = tuple(text_of(resource.get(name)) for name in _NAMES)
    return names if any(names) else repr(resource)


def _shown(value: object) -> str:
    """A field as text; a list as its members."""
    return ", ".join(dict.fromkeys(texts_in(value))) if isinstance(value, list | dict) else text_of(value)


def _decoded(response: httpx.Response) -> object:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def _message(response: httpx.Response) -> str:
    body = _decoded(response)
    return text_of(body.get("message"))[:200] if isinstance(body, dict) else ""


def _late(deadline: timedelta) -> str:
    return f"no answer from the Management API within {deadline.total_seconds():g} seconds"
