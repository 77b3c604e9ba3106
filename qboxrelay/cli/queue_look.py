"""`qboxrelay queue show` and `export`: one mail from all sides, and its content as people read it.

In: an id. Out: tables, JSON, a mail. Never: content with `--no-content`; a character that moves a terminal's cursor.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.plain import plain, to_json
from qboxrelay.cli.queue import AS_JSON, run_with_queue
from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.spool.port import Handled
    from qboxrelay.spool.queue import Content, Queue, Story

_UNHEARD = "there is no mail {id} in the spool: it was never accepted here, or keep_trail in [spool] passed"
_GONE = (
    "the content of {id} is not kept any more: it goes when a mail is sent, and keep_failed_payloads after it failed"
)


def show(
    id_: str = typer.Argument(..., metavar="ID", help="A transaction id (of the 250 reply) or a submission id."),
    config: Path = CONFIG,
    content: bool = typer.Option(
        True, "--content/--no-content", help="The decoded message as well: it may be private."
    ),
    as_json: bool = AS_JSON,
) -> None:
    """One mail: who, when, each attempt with its answer and delays, what operators did, and the decoded message as it will be sent.

    Exit status 2 when there is no such mail.
    """

    async def work(queue: "Queue", _loaded: "Loaded") -> int:
        from qboxrelay.cli.queue_json import story_json
        from qboxrelay.cli.queue_tables import print_story

        stories = [await queue.story(record.id) for record in await queue.find(id_)]
        if not stories:
            return _gone(id_, await queue.handled(id_))
        shown = []
        for story in filter(None, stories):
            kept = await queue.content(story.record.id) if content else None
            if as_json:
                shown.append({**story_json(story), **({"content": _content_json(kept)} if content else {})})
                continue
            print_story(story)
            if content:
                _print_content(story, kept)
        if as_json:
            print(to_json(shown))
        return 0

    run_with_queue(config, work)


def export(
    id_: str = typer.Argument(
        ..., metavar="ID", help="A submission id, or the transaction id of a mail with one submission."
    ),
    config: Path = CONFIG,
    raw: bool = typer.Option(False, "--raw", help="As it was received; kept only where keep_raw in [spool] says so."),
    output: Path | None = typer.Option(None, "--output", "-o", help="Default: standard output."),
) -> None:
    """A mail as an .eml file, built anew from what will be sent; or as it was received.

    Exit status 2 when its content is not kept.
    """

    async def work(queue: "Queue", _loaded: "Loaded") -> int:
        from qboxrelay.cli.rebuild import rebuilt

        found = [record.id for record in await queue.find(id_)]
        if len(found) > 1:
            return fail(f"{id_} became {len(found)} submissions, name one: {', '.join(found)}")
        kept = await queue.content(found[0]) if found else None
        mail = None if kept is None else kept.raw if raw else rebuilt(kept.payload) if kept.payload else None
        if mail is None:
            fail((_GONE if found else _UNHEARD).format(id=id_))
            return 2
        if output is None:
            sys.stdout.buffer.write(mail)
            sys.stdout.buffer.flush()
        else:
            await asyncio.to_thread(_write, output, mail)
        return 0

    run_with_queue(config, work)


def add_to(app: typer.Typer) -> None:
    """To the group of the queue commands."""
    app.command("show")(show)
    app.command("export")(export)


def _write(path: Path, mail: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(mail)


def _gone(id_: str, handled: "list[Handled]") -> int:
    from qboxrelay.cli.queue_tables import local, said

    fail(_UNHEARD.format(id=id_))
    for one in handled:
        print(f"  {one.id}: {plain(said(one))}, {local(one.at)}", file=sys.stderr)
    return 2


def _content_json(kept: "Content | None") -> dict[str, Any] | None:
    """The entry, with each attachment's size in place of its content."""
    if kept is None or not kept.payload:
        return None
    entry: dict[str, Any] = json.loads(kept.payload)
    for attachment in entry.get("attachments", ()):
        attachment["content"] = f"{_decoded_bytes(attachment.get('content', ''))} bytes"
    return entry


def _decoded_bytes(base64: str) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=")


def _print_content(story: "Story", kept: "Content | None") -> None:
    from rich.text import Text

    from qboxrelay.cli.queue_tables import console
    from qboxrelay.cli.rebuild import headers_of

    out, entry = console(), _content_json(kept)
    if entry is None:
        out.print(_GONE.format(id=story.record.id), soft_wrap=True)
        return
    for name, value in headers_of(entry):
        out.print(Text.assemble((f"{plain(name)}: ", "bold"), plain(value)), soft_wrap=True)
    for kind in ("text_body", "html_body"):
        if isinstance(entry.get(kind), str):
            out.print(Text(f"-- {kind}", style="dim"))
            for line in entry[kind].splitlines():
                out.print(Text(f"  {plain(line)}"), soft_wrap=True)
    for attachment in entry.get("attachments", ()):
        fields = (attachment.get("filename", ""), attachment.get("content_type", ""), attachment["content"])
        out.print(Text("Attachment: " + plain(", ".join(map(str, fields)))), soft_wrap=True)
