"""How a running relay is, for the service manager: whether its parts make progress, and one line of figures.

In: the spool, the dispatcher, the doors. Out: pulses for the watchdog, a line for people. Never: anything of a mail.
"""

from collections.abc import Callable

from qboxrelay.dispatch.dispatcher import Dispatcher
from qboxrelay.manager.watchdog import Pulse
from qboxrelay.model.submission import State
from qboxrelay.spool.port import Spool, SpoolError

_LONGEST_STEP_SECONDS = 60.0
"""A step of a lane waits for one commit; what takes longer than this will not end."""


class Vitals:
    """Looks; changes nothing but a row of no meaning."""

    def __init__(
        self, *, spool: Spool, dispatcher: Dispatcher, sessions: Callable[[], int], workers: Pulse | None = None
    ) -> None:
        """`sessions`: how many are open."""
        self._workers = workers
        self._spool = spool
        self._dispatcher = dispatcher
        self._sessions = sessions

    def pulses(self) -> dict[str, Pulse]:
        """What the watchdog asks of each part."""
        pulses: dict[str, Pulse] = {"writer": self._writer, "dispatcher": self._sender}
        return pulses if self._workers is None else {**pulses, "workers": self._workers}

    async def figures(self) -> str:
        """Such as `3 sessions, 12 waiting, 1 held`."""
        sessions = f"{self._sessions()} sessions"
        try:
            messages = (await self._spool.depth()).messages
        except SpoolError as error:
            return f"{sessions}; {error}"
        waiting = messages.get(State.QUEUED, 0) + messages.get(State.SENDING, 0)
        others = [f"{messages[state]} {state.value}" for state in (State.HELD, State.FAILED) if messages.get(state)]
        return ", ".join([sessions, f"{waiting} waiting", *others])

    async def _writer(self) -> bool:
        try:
            await self._spool.check_writable()
        except SpoolError:
            # Who answers is not stuck, and a restart would not mend the disk.
            return True
        return True

    async def _sender(self) -> bool:
        return self._dispatcher.busy_seconds() < _LONGEST_STEP_SECONDS
