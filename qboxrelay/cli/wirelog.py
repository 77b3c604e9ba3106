"""`qboxrelay wirelog`: watch the dialogue of single clients in the log of the running relay.

In: an address or network. Out: a line in the file that the relay looks at. Never: a restart, or a watch without an end.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qboxrelay.policy.networks import IPNetwork

_LONGEST_MINUTES = 7 * 24 * 60


def wirelog(
    client: Annotated[
        str, typer.Argument(help="Address or network to watch, such as 192.0.2.21 or 192.0.2.0/24.")
    ] = "",
    config: Path = CONFIG,
    minutes: Annotated[int, typer.Option(min=1, max=_LONGEST_MINUTES, help="For how long.")] = 30,
    off: Annotated[
        bool, typer.Option("--off", help="Stop watching the client; without one, stop watching all.")
    ] = False,
) -> None:
    """Log every SMTP line of a client, to find out what a device does.

    The running relay notices within its next connection from that client: look for wire.client and wire.server in its log.
    Passwords and the mail's content are left out. Without an argument it shows who is watched.
    """
    raise typer.Exit(_wirelog(client, config, minutes=minutes, off=off))


def _wirelog(client: str, config: Path, *, minutes: int, off: bool) -> int:
    from qboxrelay.cli.configuration import load_or_explain
    from qboxrelay.cli.daemon import fail
    from qboxrelay.settings.types import parse_network
    from qboxrelay.smtp.wirelog import FILE_NAME, read, write

    loaded = load_or_explain(config, os.environ)
    if loaded is None:
        return 1
    path, now = loaded.settings.relay.data_dir / FILE_NAME, datetime.now(UTC)
    watched = {network: until for network, until in read(path) if until > now}
    try:
        named = parse_network(client) if client else None
    except ValueError as error:
        return fail(f"{client}: {error}")
    if off:
        watched = {network: until for network, until in watched.items() if named is not None and network != named}
    elif named is not None:
        watched[named] = now + timedelta(minutes=minutes)
    try:
        if off or named is not None:
            write(path, watched)
    except OSError as error:
        return fail(f"{path} cannot be written: {error.strerror}; run this as the user of the relay")
    print("\n".join(_shown(watched)) or "Nobody is watched.")
    return 0


def _shown(watched: "Mapping[IPNetwork, datetime]") -> list[str]:
    return [f"{network} is watched until {until.astimezone():%Y-%m-%d %H:%M:%S}" for network, until in watched.items()]
