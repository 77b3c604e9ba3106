"""`qboxrelay nodes`: the relays that work on this spool.

In: the configuration, the spool. Out: a table or JSON, an exit status. Never: a change.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.plain import plain, to_json
from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.spool.shared import Node

_ALONE = "One relay has this spool for itself: there are no nodes. Several relays share a spool on PostgreSQL: see url in [spool]."
_COLOURS = {"running": "green", "silent": "red", "stopped": "yellow"}


def nodes(
    config: Path = CONFIG, as_json: bool = typer.Option(False, "--json", help="JSON instead of a table.")
) -> None:
    """The relays that work on this spool: name, state, last heartbeat, version, what each accepted and sent, and which one leads.

    States: running; silent (not heard of for 15 seconds: what it had under way is sent by the others when its leases run out); stopped. A node is
    forgotten after a day. Exit status 1 when the spool cannot be asked, 2 when a node is silent.
    """
    from qboxrelay.cli.configuration import load_for_look
    from qboxrelay.spool.backend import open_nodes
    from qboxrelay.spool.port import SpoolError
    from qboxrelay.spool.shared import Life

    known = open_nodes(load_for_look(config).settings)
    if known is None:
        print("[]" if as_json else _ALONE)
        return
    try:
        found = asyncio.run(known.nodes())
    except (SpoolError, OSError) as error:
        raise typer.Exit(fail(str(error))) from None
    if as_json:
        print(to_json([_json(node) for node in found]))
    elif found:
        _print(found)
    else:
        print("No relay has worked on this spool within a day.")
    raise typer.Exit(2 if any(node.life is Life.SILENT for node in found) else 0)


def _print(found: "list[Node]") -> None:
    from rich.table import Table
    from rich.text import Text

    from qboxrelay.cli.queue_tables import console, local
    from qboxrelay.status.words import span

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Name", "State", "Heartbeat", "Version", "Started", "Accepted", "Sent"):
        table.add_column(heading)
    for node in found:
        leads = ", leader" if node.leads and node.life == "running" else ""
        table.add_row(
            Text(plain(node.name)),
            Text(node.life + leads, style=_COLOURS[node.life]),
            f"{span(node.silent)} ago",
            Text(plain(node.version)),
            local(node.started_at),
            f"{node.work.accepted}, {node.work.accepted_per_second:.1f}/s",
            f"{node.work.sent}, {node.work.sent_per_second:.1f}/s",
        )
    console().print(table)


def _json(node: "Node") -> dict[str, Any]:
    return {
        "name": node.name,
        "state": node.life.value,
        "leader": node.leads and node.life == "running",
        "version": node.version,
        "started_at": node.started_at.isoformat(),
        "seen_at": node.seen_at.isoformat(),
        "silent_seconds": round(node.silent.total_seconds(), 3),
        "stopped_at": None if node.stopped_at is None else node.stopped_at.isoformat(),
        "accepted": node.work.accepted,
        "sent": node.work.sent,
        "accepted_per_second": round(node.work.accepted_per_second, 3),
        "sent_per_second": round(node.work.sent_per_second, 3),
    }
