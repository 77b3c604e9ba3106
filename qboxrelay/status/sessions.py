"""Who has logged in to the page.

In: random bytes, a monotonic clock. Out: sessions by the text of their cookie. Never: a session that outlives the process, its time or the token
that opened it; more than a fixed number of them.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from qboxrelay.settings.types import Secret

LASTS = timedelta(hours=8)
_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`csrf` is the text that every form of the session carries."""

    id: str
    csrf: str
    user: str
    """Whose acts they are, in the audit trail."""
    token: Secret
    """That opened it."""
    until: float

    def owns(self, csrf: str) -> bool:
        """In constant time."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "surrogatepass"))


class Sessions:
    """At most fifty at a time; the oldest gives way."""

    def __init__(self, *, monotonic: Callable[[], float], random_text: Callable[[], str]) -> None:
        """`random_text` gives 256 bits or so that nobody can guess."""
        self._monotonic = monotonic
        self._random_text = random_text
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self, user: str, token: Secret) -> Session:
        session = Session(
            id=self._random_text(),
            csrf=self._random_text(),
            user=user,
            token=token,
            until=self._monotonic() + LASTS.total_seconds(),
        )
        self._open[session.id] = session
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return session

    def find(self, id_: str, token: Secret | None) -> Session | None:
        """None also when the token is another one by now."""
        session = self._open.get(id_)
        if session is None:
            return None
        if self._monotonic() >= session.until or session.token != token:
            del self._open[id_]
            return None
        return session

    def end(self, session: Session) -> None:
        self._open.pop(session.id, None)
