"""`qboxrelay queue`: what waits, what failed, what is held, and what to do about it.

In: arguments, the spool. Out: tables or JSON, an exit status. Never: content that was not asked for; a destruction that was not confirmed.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.plain import plain, to_json
from qboxrelay.cli.queue_work import (
    Filters,
    act_on,
    chosen_ids,
    open_queue,
    operator,
    tell_of_fallback,
    unknown_account,
)
from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.spool.port import Record
    from qboxrelay.spool.queue import Act, Done, Queue

app = typer.Typer(
    help="The queue in your hands: look, retry, hold, release, delete, pause; beside a running relay, which takes it up within two seconds, "
    "or while it is stopped.\n\n"
    "Run it as the relay's user, or as root. Exit status: 0 done, 1 it could not be done, 2 some of it was refused, or nothing was found.\n\n"
    "States: queued (waits for an attempt), sending (under way, never touched), sent, failed (refused for good or given up), held (waits for "
    "you).",
    rich_markup_mode="rich",
    no_args_is_help=True,
)

AS_JSON = typer.Option(False, "--json", help="JSON instead of a table.")
Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Transaction ids (of the 250 reply) or submission ids.")
]
States = Annotated[
    list[str] | None, typer.Option("--state", "-s", help="queued, sending, sent, failed or held; repeat it.")
]
Account = Annotated[str, typer.Option("--account", "-a", help="Of this account.")]
Domain = Annotated[str, typer.Option("--domain", "-d", help="The sender or a recipient is of this domain.")]
Address = Annotated[str, typer.Option("--address", help="The sender or a recipient is this address.")]
Client = Annotated[str, typer.Option("--client", help="Handed in from this IP address, or with this login.")]
Error = Annotated[str, typer.Option("--error", "-e", help="The latest answer has this in its text or reason.")]
Older = Annotated[str, typer.Option("--older", help="Received longer ago than this: 90s, 15m, 2h, 3d.")]
Newer = Annotated[str, typer.Option("--newer", help="Received within this time.")]
All = Annotated[bool, typer.Option("--all", help="Without ids and filters: everything that it is possible for.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_NOTHING_NAMED = "name ids, or a filter such as --state, --account or --error; --all means everything"
_BOTH = "name either ids or filters, not both"


@app.command("list")
def list_(
    config: Path = CONFIG,
    state: States = None,
    account: Account = "",
    domain: Domain = "",
    address: Address = "",
    client: Client = "",
    error: Error = "",
    older: Older = "",
    newer: Newer = "",
    limit: int = typer.Option(100, "--limit", "-l", min=1, help="Show so many, the newest."),
    as_json: bool = AS_JSON,
) -> None:
    """What is not sent yet, the newest first; filters narrow it.

    Without --state: queued, sending, failed and held. What was sent: --state sent.

    Examples: [bold]queue list --state failed --newer 1d[/bold], [bold]queue list --error quota --account news[/bold].
    """
    filters = Filters(
        states=state or ("queued", "sending", "failed", "held"), account=account, domain=domain, address=address, client=client,
        error=error, older=older, newer=newer,
    )  # fmt: skip

    async def work(queue: "Queue", _loaded: "Loaded") -> int:
        from qboxrelay.cli.queue_json import record_json
        from qboxrelay.cli.queue_tables import print_records
        from qboxrelay.model.submission import State

        selection, before = filters.selection(frozenset(State)), None
        found: list[Record] = []
        while len(found) < limit:
            page = await queue.select(selection, before=before, limit=limit - len(found))
            found += page.records
            before = page.next
            if before is None:
                break
        if as_json:
            print(to_json([record_json(record) for record in found]))
        elif found:
            print_records(found, more=before is not None)
        else:
            print("Nothing of that kind is in the spool.")
        return 0

    run_with_queue(config, work)


@app.command()
def stats(config: Path = CONFIG, as_json: bool = AS_JSON) -> None:
    """How much there is, by account and state; how old the oldest is; what is paused."""

    async def work(queue: "Queue", _loaded: "Loaded") -> int:
        from qboxrelay.cli.queue_json import overview_json
        from qboxrelay.cli.queue_tables import print_overview

        overview = await queue.overview()
        if as_json:
            print(to_json(overview_json(overview)))
        else:
            print_overview(overview)
        return 0

    run_with_queue(config, work)


@app.command()
def retry(
    ids: Ids = None, config: Path = CONFIG, state: States = None, account: Account = "", domain: Domain = "", address: Address = "",
    client: Client = "", error: Error = "", older: Older = "", newer: Newer = "", everything: All = False, dry_run: DryRun = False,
    yes: Yes = False, as_json: bool = AS_JSON,
) -> None:  # fmt: skip
    r"""Try again now what failed, and what waits for its next attempt. Its age and its schedule begin anew.

    What failed too long ago has no content any more (keep_failed_payloads in \[spool]) and is refused: nothing empty is ever sent.
    """
    filters = Filters(
        states=state or (),
        account=account,
        domain=domain,
        address=address,
        client=client,
        error=error,
        older=older,
        newer=newer,
    )
    _act("retry", ids, filters, config, everything=everything, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def release(
    ids: Ids = None, config: Path = CONFIG, account: Account = "", domain: Domain = "", address: Address = "",
    client: Client = "", error: Error = "", older: Older = "", newer: Newer = "", everything: All = False, dry_run: DryRun = False,
    yes: Yes = False, as_json: bool = AS_JSON,
) -> None:  # fmt: skip
    """Send what is held.

    Mail whose outcome is unknown is held where unknown_outcome = "hold": look with [bold]qboxrelay trace[/bold] whether Qboxmail has it
    before you release it, or it is sent twice.
    """
    filters = Filters(
        account=account, domain=domain, address=address, client=client, error=error, older=older, newer=newer
    )
    _act("release", ids, filters, config, everything=everything, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def hold(
    ids: Ids = None, config: Path = CONFIG, account: Account = "", domain: Domain = "", address: Address = "",
    client: Client = "", error: Error = "", older: Older = "", newer: Newer = "", everything: All = False, dry_run: DryRun = False,
    yes: Yes = False, as_json: bool = AS_JSON,
) -> None:  # fmt: skip
    """Keep what is queued until it is released. To hold back mail that is still to come, pause its account."""
    filters = Filters(
        account=account, domain=domain, address=address, client=client, error=error, older=older, newer=newer
    )
    _act("hold", ids, filters, config, everything=everything, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def delete(
    ids: Ids = None, config: Path = CONFIG, state: States = None, account: Account = "", domain: Domain = "", address: Address = "",
    client: Client = "", error: Error = "", older: Older = "", newer: Newer = "", everything: All = False, dry_run: DryRun = False,
    yes: Yes = False, as_json: bool = AS_JSON,
) -> None:  # fmt: skip
    """Forget mail for good: it is not sent, and nobody is told. Who deleted it stays written down.

    By filter, what was sent is left out unless --state sent names it.
    """
    filters = Filters(
        states=state or (),
        account=account,
        domain=domain,
        address=address,
        client=client,
        error=error,
        older=older,
        newer=newer,
    )
    _act("delete", ids, filters, config, everything=everything, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def pause(
    account: str = typer.Argument("", help="Default: all accounts."),
    why: str = typer.Option("", "--why", help="Shown wherever the pause is."),
    config: Path = CONFIG,
) -> None:
    """Send nothing of an account, or nothing at all, until it is resumed; also after a restart. Mail is accepted and kept meanwhile.

    What is under way is finished. Exit status 2 when it was paused already.
    """

    async def work(queue: "Queue", loaded: "Loaded") -> int:
        if unknown := unknown_account(loaded.settings, account):
            return fail(unknown)
        if await queue.pause(account, by=operator(), why=why):
            print(f"{account or 'Everything'} is paused. It goes on with: qboxrelay queue resume {account}".rstrip())
            return 0
        print(f"{account or 'Everything'} was paused already.")
        return 2

    run_with_queue(config, work)


@app.command()
def resume(
    account: str = typer.Argument("", help="Default: what was paused as a whole."), config: Path = CONFIG
) -> None:
    """End a pause. Exit status 2 when there was none."""

    async def work(queue: "Queue", loaded: "Loaded") -> int:
        resumed = await queue.resume(account, by=operator())
        left = ", ".join(plain(one.account) or "everything" for one in (await queue.overview()).pauses)
        print(
            f"{account or 'The relay'} {'goes on' if resumed else 'was not paused'}.{f' Still paused: {left}.' if left else ''}"
        )
        if not resumed and (unknown := unknown_account(loaded.settings, account)):
            return fail(unknown)
        return 0 if resumed else 2

    run_with_queue(config, work)


def run_with_queue(config: Path, work: "Callable[[Queue, Loaded], Awaitable[int]]") -> None:
    """Load the configuration, do the work, end with its status."""
    from qboxrelay.cli.configuration import load_for_look
    from qboxrelay.spool.port import SpoolError

    loaded = load_for_look(config)

    async def main() -> int:
        await tell_of_fallback(loaded.settings)
        queue = open_queue(loaded.settings)
        try:
            return await work(queue, loaded)
        except BrokenPipeError:
            # Whoever reads has seen enough: no error to speak of.
            raise
        except UnicodeEncodeError:
            return fail("an argument holds bytes that are no UTF-8 text")
        except (SpoolError, ValueError, OSError) as error:
            return fail(str(error))
        finally:
            await queue.close()

    raise typer.Exit(asyncio.run(main()))


def _act(
    word: str, ids: list[str] | None, filters: Filters, config: Path, *, everything: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:  # fmt: skip
    async def work(queue: "Queue", _loaded: "Loaded") -> int:
        from qboxrelay.model.submission import State
        from qboxrelay.spool.queue import POSSIBLE, Act

        act = Act(word)
        if ids and (filters.given or everything):
            return fail(_BOTH)
        if not ids and not filters.given and not everything:
            return fail(_NOTHING_NAMED)
        possible = POSSIBLE[act] if filters.states else POSSIBLE[act] - {State.SENT}
        chosen = await chosen_ids(queue, ids or [], None if ids else filters.selection(possible))
        if not chosen:
            return _nothing(as_json=as_json)
        if dry_run:
            print(to_json(chosen) if as_json else "\n".join([*chosen, f"Would {act} {len(chosen)}."]))
            return 0
        if not yes and not _confirmed(act, chosen, ask=act is Act.DELETE or not ids):
            return 1
        return _report(act, await act_on(queue, act, chosen), as_json=as_json)

    run_with_queue(config, work)


def _nothing(*, as_json: bool) -> int:
    print("[]" if as_json else "Nothing of that kind is in the spool.")
    return 2


def _confirmed(act: "Act", ids: list[str], *, ask: bool) -> bool:
    """Without a terminal nobody can be asked: then --yes has to say it."""
    if not ask:
        return True
    if not sys.stdin.isatty():
        fail(f"this would {act} {len(ids)}: add --yes to do it, or --dry-run to see which")
        return False
    if not typer.confirm(f"{act} {len(ids)} ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})?", err=True):
        fail("nothing was done")
        return False
    return True


def _report(act: "Act", done: "list[Done]", *, as_json: bool) -> int:
    from qboxrelay.cli.queue_json import done_json

    refused = [one for one in done if one.refused]
    if as_json:
        print(to_json([done_json(one) for one in done]))
    else:
        for one in refused:
            print(f"{one.id}: {one.refused}", file=sys.stderr)
        print(f"{act}: {len(done) - len(refused)} done, {len(refused)} refused.")
    return 2 if refused else 0
