"""The event loop of the daemon: uvloop's where it is installed, with name look-ups that cannot get in anybody's way.

Both loops look names up in a few threads that they wait for at the end, and uvloop's stay busy with look-ups that nobody waits for any more.
A resolver that takes half a minute would so hold up other accounts' look-ups, and the stop of the relay.

In: host names. Out: their addresses. Never: two look-ups of the same thing at a time, more threads than a few, a thread that outlives the
process's will to end.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

try:
    from uvloop import Loop as _Loop
except ImportError:
    from asyncio import SelectorEventLoop as _Loop  # type: ignore[assignment] # what serves where uvloop is not

_MOST = 16
"""Different names, of accounts and proxies, that may be looked up at a time."""

Question = tuple[Any, ...]
Answer = list[tuple[Any, ...]]


class RelayLoop(_Loop):
    """An event loop whose `getaddrinfo` runs in threads of its own."""

    def __init__(self, resolve: Callable[..., Answer] = socket.getaddrinfo) -> None:
        super().__init__()
        self._resolve = resolve
        self._questions: dict[Question, asyncio.Future[Answer]] = {}

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - its name
        proto: int = 0,
        flags: int = 0,
    ) -> Answer:
        """As in the standard library. Raises OSError at once when too many names are being looked up."""
        question = (host, port, family, type, proto, flags)
        future = self._questions.get(question)
        if future is None:
            future = self._ask(question)
        # Who stops waiting does not stop the others.
        return await asyncio.shield(future)

    def _ask(self, question: Question) -> "asyncio.Future[Answer]":
        if len(self._questions) >= _MOST:
            raise socket.gaierror(socket.EAI_AGAIN, "too many names are being looked up: the resolver does not answer")
        future: asyncio.Future[Answer] = self.create_future()
        self._questions[question] = future
        # A daemon: nothing waits for it when the process ends.
        threading.Thread(target=self._find, args=(question,), name="getaddrinfo", daemon=True).start()
        return future

    def _find(self, question: Question) -> None:
        found: Answer | OSError
        try:
            found = self._resolve(*question)
        except OSError as error:
            found = error
        except UnicodeError as error:
            # A name that no resolver could be asked for.
            found = socket.gaierror(socket.EAI_NONAME, str(error))
        if not self.is_closed():
            self._tell(question, found)

    def _tell(self, question: Question, found: Answer | OSError) -> None:
        try:
            self.call_soon_threadsafe(self._answer, question, found)
        except RuntimeError:
            return  # The loop was closed meanwhile.

    def _answer(self, question: Question, found: Answer | OSError) -> None:
        future = self._questions.pop(question)
        if isinstance(found, OSError):
            future.set_exception(found)
            future.exception()  # Heard, also where nobody waits any more.
        else:
            future.set_result(found)
