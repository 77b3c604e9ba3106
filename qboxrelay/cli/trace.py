"""`qboxrelay trace`: the story of a mail, found by any of its ids.

In: an id or a recipient, the spool, the Management API where there is a token. Out: tables or JSON, an exit status. Never: content; a story that
an unreachable API keeps from being told.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.plain import plain, to_json
from qboxrelay.cli.queue import AS_JSON, run_with_queue
from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.cli.trace_mail import Listed
    from qboxrelay.spool.port import Handled, Record
    from qboxrelay.spool.queue import Queue, Story

_UNHEARD = (
    "nothing is known of {text}: it is no transaction, submission, request_id, message_id, Message-ID or recipient of a mail in the spool; "
    "it was never accepted here, or keep_trail in [spool] passed"
)
_MOST_ROWS = 10


def trace(
    text: str = typer.Argument(
        ...,
        metavar="ID",
        help="A transaction id (of the 250 reply), submission id, request_id, message_id, Message-ID, or a recipient.",
    ),
    config: Path = CONFIG,
    limit: int = typer.Option(20, "--limit", "-l", min=1, help="Where many mails match: so many, the newest."),
    ask: bool = typer.Option(True, "--tracemail/--no-tracemail", help="Ask Qboxmail's TraceMail as well."),
    as_json: bool = AS_JSON,
) -> None:
    """The story of a mail: from whom it came, by what policy it was taken, each attempt with its answer and delays, what operators did,
    and what Qboxmail's TraceMail lists, where there is a Management API token. Never its content.

    It works beside a running relay and while it is stopped. Where several mails match, they are listed.

    Exit status 1 when nothing is known of it.
    """

    async def work(queue: "Queue", loaded: "Loaded") -> int:
        from qboxrelay.cli.trace_mail import Listed, tracemail

        # An argument of a shell may hold bytes that are no text.
        wanted = text.strip().encode(errors="replace").decode()
        if not wanted:
            return fail("name an id or a recipient")
        found = await queue.trace(wanted, limit=limit + 1)
        acts = [] if found else await queue.handled(wanted)
        if not found and not acts:
            return fail(_UNHEARD.format(text=wanted))
        shown, more = found[:limit], len(found) > limit
        one = len({_transaction(record.id) for record in found}) == 1
        stories = [story for story in [await queue.story(record.id) for record in shown] if story is not None]
        listed = await tracemail(loaded, stories) if ask and one and stories else Listed()
        if as_json:
            print(to_json(_as_json(wanted, stories, more, acts, listed)))
        elif one:
            _print_stories(stories, listed)
        else:
            _print_list(shown, more, acts)
        return 0

    run_with_queue(config, work)


def _transaction(submission_id: str) -> str:
    return submission_id.rpartition("-")[0]


def _as_json(text: str, stories: "list[Story]", more: bool, acts: "list[Handled]", listed: "Listed") -> dict[str, Any]:
    from qboxrelay.cli.queue_json import handled_json, story_json

    rows = [{"collection": row.collection, "names_it": row.names_it, "row": row.row} for row in listed.relevant]
    return {
        "traced": text,
        "submissions": [story_json(story) for story in stories],
        "more": more,
        "operators": [handled_json(one) for one in acts],
        "tracemail": {"rows": rows, "why_not": listed.why_not or None},
    }


def _print_stories(stories: "list[Story]", listed: "Listed") -> None:
    from rich.text import Text

    from qboxrelay.cli.queue_tables import console, print_story
    from qboxrelay.cli.trace_mail import pairs

    for story in stories:
        print_story(story)
    out, rows = console(), listed.relevant
    if listed.why_not:
        out.print(Text(plain(f"TraceMail: {listed.why_not}")), soft_wrap=True)
    elif not rows:
        out.print("TraceMail lists nothing for its sender and recipient.")
    elif not rows[0].names_it:
        out.print("TraceMail lists for its sender and recipient, without a row that names an id of it:")
    else:
        out.print("TraceMail lists:")
    for row in rows[:_MOST_ROWS]:
        fields = ", ".join(f"{name} {value}" for name, value in pairs(row.row))
        out.print(Text(plain(f"  {row.collection}: {fields}")), soft_wrap=True)
    if len(rows) > _MOST_ROWS:
        out.print(f"  … and {len(rows) - _MOST_ROWS} more: --json shows them.")


def _print_list(found: "list[Record]", more: bool, acts: "list[Handled]") -> None:
    from qboxrelay.cli.queue_tables import local, print_records, said

    if found:
        print_records(found, more=more)
        print("One of them: qboxrelay trace ID")
    for one in acts:
        print(f"{one.id}: {plain(said(one))}, {local(one.at)}; nothing else is known of it.")
