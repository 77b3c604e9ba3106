"""The suppression list of the Management API, one address at a time (API page postApiDeliverySuppressionListsDetails).

In: an address. Out: whether nobody of this customer may write to it. Never: a yes that the answer does not clearly give: an entry for
single accounts, one that is not active, one of another address.
"""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import orjson

from qboxrelay.model.sender_domain import ManagementFailure
from qboxrelay.qboxmail.lenient import text_of, word_of
from qboxrelay.qboxmail.management_errors import failure_of, http_failure
from qboxrelay.qboxmail.tls import client_context
from qboxrelay.qboxmail.token import TokenSource, TokenUnreadable
from qboxrelay.settings.schema import SenderDomainSettings

_PATH = "/api/delivery/suppression_lists/details"
_MAX_BYTES = 1_000_000
_YES = {"true", "1", "yes"}


class SuppressionClient:
    """Looks addresses up. `close()` ends its connections."""

    def __init__(self, *, settings: SenderDomainSettings, token: TokenSource, deadline: timedelta) -> None:
        self._token = token
        self._deadline = deadline
        self._client = httpx.AsyncClient(
            base_url=settings.base_url.rstrip("/"),
            verify=client_context(ca_file=settings.ca_file, certificate_file=None, certificate_key_file=None),
            proxy=settings.proxy or None,
            follow_redirects=False,
            timeout=httpx.Timeout(deadline.total_seconds()),
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=8, keepalive_expiry=5.0),
            headers={"User-Agent": "qboxrelay", "Accept": "application/json"},
        )

    async def holds(self, address: str) -> bool:
        """Whether the list holds the address for the whole customer. Raises `ManagementFailure`."""
        try:
            headers = {"X-Api-Token": self._token.current().reveal()}
            async with asyncio.timeout(self._deadline.total_seconds()):
                response, content = await self._ask(address, headers)
        except TokenUnreadable as error:
            raise ManagementFailure("token", str(error)) from None
        except TimeoutError:
            text = f"the suppression list did not answer within {self._deadline.total_seconds():g} seconds"
            raise ManagementFailure("timeout", text) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise failure_of(error) from None
        if response.status_code == httpx.codes.NOT_FOUND:
            # What an address that is not on the list is answered is not documented; this would be the way to say it.
            return False
        if not response.is_success:
            raise http_failure(response.status_code, "")
        return is_suppressed(content, address)

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, address: str, headers: dict[str, str]) -> tuple[httpx.Response, bytes]:
        async with self._client.stream("POST", _PATH, json={"email": address}, headers=headers) as response:
            content = b""
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MAX_BYTES:
                    raise httpx.DecodingError(f"the answer is larger than {_MAX_BYTES} bytes")
        return response, content


def is_suppressed(content: bytes, address: str) -> bool:
    """What an answer says of an address. Raises `ManagementFailure` when it is no answer."""
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    resources = body.get("resources") if isinstance(body, dict) else None
    found = [resources] if isinstance(resources, dict) else resources
    if not isinstance(found, list):
        raise ManagementFailure(
            "unreadable", "the suppression list answered something that is not the Management API's JSON"
        )
    return any(_holds(one, address) for one in found if isinstance(one, dict))


def _holds(resource: dict[str, Any], address: str) -> bool:
    same = text_of(resource.get("email")).casefold() == address.casefold()
    return same and word_of(resource.get("active")) in _YES and not resource.get("accounts")
