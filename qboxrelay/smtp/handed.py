"""A listener whose connections another process accepts: it has the listening socket and counts for all processes.

In: accepted connections, one by one. Out: sessions; word of each connection that is over. Never: a connection whose end is not told, whatever
became of it: the other process would count it for ever.
"""

import asyncio
import socket
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from qboxrelay.model.reply import Reply
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.smtp import replies
from qboxrelay.smtp.listener import House, SmtpListener
from qboxrelay.smtp.proxy import Peer
from qboxrelay.smtp.session import Session

REFUSALS = {
    "max_connections": replies.TOO_MANY_CONNECTIONS,
    "max_connections_per_client": replies.TOO_MANY_FROM_CLIENT,
}
"""What a connection is told that passes a limit of the whole relay."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A connection as it is handed over. `counted_as` names its client where the limit per client counts it; `limit` is one it passes, or empty."""

    listener: str
    peer: str
    counted_as: str
    limit: str


Left = Callable[[Handed], None]


class _Ticket:
    """One connection on its way to be a session."""

    def __init__(self, handed: Handed) -> None:
        self.handed = handed
        self.session: Session | None = None
        self.opened = False


_arriving: ContextVar[_Ticket | None] = ContextVar("_arriving", default=None)
"""Whose session is being made, in the task that does it."""


class HandedListener(SmtpListener):
    """Connections come by `welcome` instead of a socket."""

    def __init__(self, *, settings: ListenerSettings, house: House, left: Left) -> None:
        self._left = left
        self._tickets: dict[Session, _Ticket] = {}
        self._welcomed: set[asyncio.Task[None]] = set()
        super().__init__(settings=settings, house=house)

    async def start(self, listening: socket.socket | None = None) -> None:
        """There is nothing to listen on; the other process has told where the door is."""
        assert listening is None
        self._metrics.listening(self.name)
        self._warn_of_legacy()
        await self._accept_anew()

    async def _accept_anew(self) -> None:
        self._accept_no_more()
        self._introductions = self._introducing(None)

    def welcome(self, connection: socket.socket, handed: Handed) -> None:
        """Make a session of it."""
        connection.setblocking(False)
        ticket = _Ticket(handed)
        token = _arriving.set(ticket)
        try:
            task = self._begin(connection, handed.peer)
        finally:
            _arriving.reset(token)
        self._welcomed.add(task)
        task.add_done_callback(lambda _task: self._arrived(_task, ticket))

    def _begin(self, connection: socket.socket, peer: str) -> asyncio.Task[None]:
        if self._introductions is not None:
            return self._introductions.take(connection, peer)
        return asyncio.create_task(self._connect(connection))

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._session, connection)
        except OSError:
            connection.close()

    def _arrived(self, task: asyncio.Task[None], ticket: _Ticket) -> None:
        self._welcomed.discard(task)
        if not ticket.opened:
            if ticket.session is not None:
                del self._tickets[ticket.session]
            self._left(ticket.handed)

    def _session(self, peer: Peer | None = None) -> Session:
        session = super()._session(peer)
        ticket = _arriving.get()
        if ticket is not None:
            ticket.session = session
            self._tickets[session] = ticket
        return session

    def opened(self, session: Session, client: str) -> Reply | None:
        refusal = super().opened(session, client)
        ticket = self._tickets.get(session)
        if ticket is None:
            return refusal
        ticket.opened = True
        if refusal is None and ticket.handed.limit:
            self._metrics.limited(ticket.handed.limit)
            return REFUSALS[ticket.handed.limit]
        return refusal

    def closed(self, session: Session, client: str) -> None:
        super().closed(session, client)
        ticket = self._tickets.pop(session, None)
        if ticket is not None:
            self._left(ticket.handed)
