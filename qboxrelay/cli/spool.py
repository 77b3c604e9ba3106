"""`qboxrelay spool`: the store as a whole.

In: arguments. Out: the command that runs. Never: a command's work.
"""

from typing import Annotated

import typer

app = typer.Typer(
    help="The spool as a whole: move its mail to another one.", rich_markup_mode="rich", no_args_is_help=True
)

From = Annotated[
    str,
    typer.Argument(metavar="FROM", help="A configuration file, or a URL: sqlite:///path/to/spool.db, postgresql://…"),
]
To = Annotated[
    str,
    typer.Argument(metavar="TO", help="The same, of the spool that takes the mail; it is made when it is not there."),
]


@app.callback()
def _group() -> None:
    """A group of one command stays a group."""


@app.command()
def copy(
    source: From,
    target: To,
    with_trail: bool = typer.Option(
        False, "--with-trail", help="Copy the records of finished mail as well; they stay in FROM, too."
    ),
    dry_run: bool = typer.Option(
        False, "--dry-run", "-n", help="Only say what would be moved, also beside a running relay."
    ),
    as_json: bool = typer.Option(False, "--json", help="JSON instead of sentences."),
) -> None:
    r"""Move all mail that is not finished to another spool: from SQLite to PostgreSQL, or back.

    Queued, held and failed mail with its content goes, with its attempts, times and marks, in its order; so do pauses, notices that are still to
    be sent, and what is known of sender domains. What a relay left under way when it was killed may have been sent: it goes as unknown_outcome
    in the \[delivery] of FROM's configuration says (by TO's, where FROM is a URL; else it is tried again).

    [bold]Stop the relays of FROM first[/bold]; those of TO may run on PostgreSQL, not on SQLite. Then point \[spool] url at TO and start.

    Each part is committed in TO before it goes from FROM. Cut off at any moment, run it again: it goes on, and finds by its id what is there
    already. Until it came to its end FROM is paused, so that a relay started on it sends nothing twice; to give up, move back what went, and
    [bold]qboxrelay queue resume[/bold].

    A password does not belong in a URL, where every user of the machine sees it: name a configuration file, or set PGPASSWORD or PGPASSFILE.

    Example: [bold]qboxrelay spool copy sqlite:///var/lib/qboxrelay/spool.db /etc/qboxrelay/qboxrelay.toml[/bold]. Exit status 0 when all is
    moved, 1 when it could not be done.
    """
    from qboxrelay.cli.spool_copy import Copy, copied

    job = Copy(source=source, target=target, with_trail=with_trail, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(copied(job))
