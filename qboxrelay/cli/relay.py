"""The relay's process, from the configuration's path to the exit status; `qboxrelay run` with usual arguments begins here.

In: a path. Out: an exit status. Never: typer or rich, which a daemon would keep in memory for nothing.
"""

import os
import sys
from pathlib import Path

from qboxrelay.memory import left_out

UNUSED = ("rich", "pygments", "greenlet")
"""structlog and httpx take them along where they are installed, for tracebacks in colour, a command line of their own, and another kind of
threads: 7 MB."""


def run_relay(config: Path) -> int:
    """0 after a stop, 78 when the configuration is wrong, 1 when it cannot start for another reason or stopped by itself."""
    with left_out(*UNUSED):
        import structlog

        from qboxrelay.cli.configuration import load, load_or_explain
        from qboxrelay.cli.daemon import OnSignal, fail, in_words, on_hangup, run_until_signal
        from qboxrelay.manager.notify import Notifier
        from qboxrelay.manager.reload_record import FILE_NAME
        from qboxrelay.manager.service_manager import ServiceManager
        from qboxrelay.manager.sockets import InheritedSockets
        from qboxrelay.model.clock import SystemClock
        from qboxrelay.reload import Reloads
        from qboxrelay.service import Relay
        from qboxrelay.settings.paths import relay_folder
        from qboxrelay.spool.port import SpoolError
        from qboxrelay.telemetry.logs import configure

    loaded = load_or_explain(config, os.environ)
    if loaded is None:
        return os.EX_CONFIG
    configure(loaded.settings.log, sys.stderr)
    for warning in loaded.warnings:
        structlog.get_logger().warning("settings.warning", text=warning)
    manager = ServiceManager(Notifier.from_environment(os.environ), InheritedSockets.from_environment(os.environ))

    async def main(on_signal: OnSignal) -> int:
        relay = Relay(
            settings=loaded.settings,
            tokens=loaded.tokens,
            users=loaded.users,
            management_token=loaded.management_token,
            clock=SystemClock(),
            manager=manager,
        )
        on_signal(relay.stop)
        reloads = Reloads(
            read=lambda: load(config, os.environ),
            record=relay_folder(loaded.settings) / FILE_NAME,
            manager=manager,
        )
        with on_hangup(reloads.ask):
            try:
                await relay.start()
            except (SpoolError, OSError) as error:
                return fail(in_words(error))
            await relay.run(reloads=reloads)
        return 1 if relay.failed else 0

    return run_until_signal(main)
