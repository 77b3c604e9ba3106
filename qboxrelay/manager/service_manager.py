"""All that is said to the service manager while a relay runs.

In: what the relay knows of itself. Out: READY, STATUS, STOPPING, WATCHDOG. Never: a mail address, or anything else of mail, in a status.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from qboxrelay.manager.notify import Notifier
from qboxrelay.manager.sockets import InheritedSockets
from qboxrelay.manager.watchdog import Pulse, Watchdog
from qboxrelay.model.clock import Clock, until_next

_STATUS_EVERY = timedelta(minutes=1)
_STOP_MARGIN = timedelta(seconds=10)
"""What the end of the process takes beyond the relay's own limit for it: Python itself, and a machine under load."""


class ServiceManager:
    """`sockets` are for who listens; `run` for as long as the relay lives."""

    def __init__(self, notifier: Notifier | None = None, sockets: InheritedSockets | None = None) -> None:
        """Without a notifier nobody is told; without sockets all are opened by the relay."""
        self._notifier = notifier or Notifier()
        self.sockets = sockets or InheritedSockets()

    def ready(self, status: str) -> None:
        """Migrations have run and sockets listen; also the end of a reload."""
        self._notifier.ready()
        self._notifier.status(status)

    def reloading(self) -> None:
        self._notifier.reloading()
        self._notifier.status("Reloading the configuration")

    def stopping(self, within: timedelta) -> None:
        self._notifier.stopping(within + _STOP_MARGIN)
        self._notifier.status("Stopping: finishing what is under way")

    async def watch(self, pulses: dict[str, Pulse], clock: Clock) -> None:
        """Feed the manager's watchdog, where there is one, until cancelled."""
        await Watchdog(notifier=self._notifier, pulses=pulses, clock=clock).run()

    async def tell(self, status: Callable[[], Awaitable[str]], clock: Clock) -> None:
        """Say now and then how things are, until cancelled; nothing is asked where nobody listens."""
        while self._notifier.heard:
            await clock.sleep(until_next(clock, _STATUS_EVERY))
            self._notifier.status(await status())
