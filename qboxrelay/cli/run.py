"""`qboxrelay run`: the daemon."""

from pathlib import Path

import typer

from qboxrelay.cli.relay import run_relay

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
    raise typer.Exit(run_relay(config))
