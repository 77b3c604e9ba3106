"""Who may read the page, and whose act is their own.

In: requests, the `[status]` settings, the token as it is now. Out: a `Visitor`, or a refusal in words. Never: a token compared letter by letter;
an act on the word of a cookie alone.
"""

import hmac
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from qboxrelay.settings.hosts import is_loopback
from qboxrelay.settings.schema import StatusSettings
from qboxrelay.settings.types import Secret
from qboxrelay.status.sessions import Session, Sessions

COOKIE = "qboxrelay_session"

_NO_SCRIPT_SITES = {"same-origin", ""}
"""Of Sec-Fetch-Site; empty from a browser that does not send it, which then sends Origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who may read. `name` is for the audit trail; acts take a session."""

    name: str
    session: Session | None = None


class Doorkeeper:
    """One for the HTTP listener."""

    def __init__(
        self, *, settings: StatusSettings, names: Iterable[str], token: Callable[[], Secret | None], sessions: Sessions
    ) -> None:
        """`names` are this machine's. `token` is None where there is none, or none that can be read."""
        self._settings = settings
        self._names = {name.lower().rstrip(".") for name in ("localhost", *names, *settings.hosts)}
        self._token = token
        self._sessions = sessions
        address = settings.address
        self._open = address is not None and is_loopback(address.host) and not settings.user_header

    @property
    def takes_acts(self) -> bool:
        """Whether anybody can log in."""
        return self._token() is not None

    def knows_host(self, request: Request) -> bool:
        """Whether the browser was led here by a name of ours. An IP address is no name that a stranger could have pointed here."""
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        except ValueError:
            return False
        return host.rstrip(".") in self._names or _is_ip(host)

    def visitor(self, request: Request) -> Visitor | None:
        """None: show a token first."""
        token, user = self._token(), self._user(request)
        session = self._sessions.find(request.cookies.get(COOKIE, ""), token)
        name = user or (session.user if session else _peer(request))
        if session is not None or user or self._is_open(request) or self.shows_token(request):
            return Visitor(name=name, session=session)
        return None

    def shows_token(self, request: Request) -> bool:
        """As `Authorization: Bearer` (RFC 6750 §2.1)."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._matches(text.strip()) is not None

    def log_in(self, request: Request, text: str) -> Session | None:
        """A session for who knows the token."""
        token = self._matches(text.strip())
        return None if token is None else self._sessions.begin(self._user(request) or _peer(request), token)

    def log_out(self, session: Session) -> None:
        self._sessions.end(session)

    def is_from_here(self, request: Request) -> bool:
        """Whether a form was sent by a page of ours: browsers say so where scripts cannot lie (Fetch Metadata, RFC 6454 §7)."""
        if request.headers.get("sec-fetch-site", "") not in _NO_SCRIPT_SITES:
            return False
        origin = request.headers.get("origin")
        if origin is None:
            return "sec-fetch-site" in request.headers
        try:
            return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
        except ValueError:
            return False

    def is_encrypted(self, request: Request) -> bool:
        """Whether the browser came by HTTPS, as far as a trusted proxy says so."""
        said = request.headers.get("x-forwarded-proto", "") if self._is_trusted(request) else ""
        return request.scope["scheme"] == "https" or said == "https"

    def _is_open(self, request: Request) -> bool:
        """On loopback, also where a service manager opened the socket."""
        server = request.scope.get("server")
        return self._open and server is not None and is_loopback(str(server[0]))

    def _matches(self, text: str) -> Secret | None:
        token = self._token()
        if token is None:
            return None
        same = hmac.compare_digest(token.reveal().encode(), text.encode("utf-8", "surrogatepass"))
        return token if same else None

    def _user(self, request: Request) -> str:
        header = self._settings.user_header
        return request.headers.get(header, "").strip()[:100] if header and self._is_trusted(request) else ""

    def _is_trusted(self, request: Request) -> bool:
        try:
            address = ipaddress.ip_address(_peer(request))
        except ValueError:
            return False
        return any(address in network for network in self._settings.trusted_proxies)


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
