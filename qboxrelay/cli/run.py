"""`qboxrelay run`: the daemon."""

import os
import sys
from pathlib import Path

import structlog
import typer

from qboxrelay.cli.daemon import OnSignal, fail, in_words, on_hangup, run_until_signal

CONFIG = typer.Option(
    Path("/etc/qboxrelay/qboxrelay.toml"), "--config", "-c", help="The configuration file (TOML).", show_default=True
)


def run(config: Path = CONFIG) -> None:
    """Run the relay in the foreground, as a service manager wants it.

    SIGTERM or Ctrl-C stops it: the doors close, what is under way is finished and recorded, the spool is closed. A second one cuts off
    what is under way; nothing that was answered 250 is lost by it. SIGHUP has it read its configuration again, as `qboxrelay reload` does.

    Exit status 0 after a stop, 78 when the configuration is wrong, 1 when it cannot start for another reason, or
    stopped by itself and should be started again.
    """
    raise typer.Exit(_run(config))


def _run(config: Path) -> int:
    from qboxrelay.cli.configuration import load, load_or_explain
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
