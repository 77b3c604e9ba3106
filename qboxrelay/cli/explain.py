"""`qboxrelay explain`: what would happen to a message, without sending or storing it."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.explain_door import doorway, path_address
from qboxrelay.cli.plain import plain, to_json

if TYPE_CHECKING:
    from qboxrelay.cli.domain_facts import KnownDomains
    from qboxrelay.cli.explain_door import Doorway
    from qboxrelay.intake.decide import Decision, Rules
    from qboxrelay.model.address import Address
    from qboxrelay.model.envelope import Envelope

_ID = "00000000000000000000000000"
"""Stands where the transaction's id would be, so that the same mail explains the same way twice."""


def explain(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE...", help="Messages (RFC 5322) as files; - is standard input."
    ),
    sender: str | None = typer.Option(None, "--sender", help="Envelope sender (MAIL FROM); '<>' is the null sender."),
    rcpt: list[str] = typer.Option(
        [], "--rcpt", help="Envelope recipient; repeat it. Default: those of To, Cc and Bcc."
    ),
    client: str | None = typer.Option(
        None,
        "--client",
        help="Address of the application that hands the mail in. Default: 127.0.0.1, and not asked whether it may send.",
    ),
    user: str | None = typer.Option(None, "--user", help="Name by which the application has logged in."),
    listener: str | None = typer.Option(None, "--listener", help="Name of the listener. Default: the first one."),
    config: Path | None = typer.Option(None, "--config", "-c", help="Configuration; without it the defaults."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line for each file."),
) -> None:
    """Show what would happen to a message: the decision and why, the account, the submissions as JSON, what JSON cannot say.

    Nothing is sent and nothing is stored. Line ends may be LF, and a leading "From " line (mbox) is taken as it is.

    Exit status 0 when every mail would be accepted, 2 when one would be refused (with --json also 0: the objects say it), 1 when a file
    cannot be read; the others are explained all the same.
    """
    from qboxrelay.cli.configuration import load_or_explain
    from qboxrelay.cli.domain_facts import KnownDomains
    from qboxrelay.intake.decide import Rules
    from qboxrelay.settings.schema import LogSettings, Settings
    from qboxrelay.telemetry.logs import configure

    settings, asks_api = Settings(), False
    if config is not None:
        loaded = load_or_explain(config, os.environ)
        if loaded is None:
            raise typer.Exit(1)
        settings, asks_api = loaded.settings, loaded.management_token is not None
        configure(LogSettings(format="console", level="error"), sys.stderr)
    door = doorway(settings, client=client, user=user, listener=listener)
    domains = KnownDomains.read_now(settings, asks_api=asks_api)
    judge = partial(_explain, Rules(settings), domains, door=door, sender=sender, rcpt=rcpt)
    raise typer.Exit(_explain_all(files, judge, as_json=as_json))


def _explain_all(files: Sequence[Path], judge: Callable[[Path, bytes], dict[str, Any]], *, as_json: bool) -> int:
    """Print what is judged of each file; the exit status."""
    status = 0
    for file in files:
        try:
            content = _content(file)
        except OSError as error:
            status = fail(f"{file}: {error.strerror}")
            continue
        answer = judge(file, content)
        if status == 0 and answer["decision"] == "refuse" and not as_json:
            status = 2
        print(to_json(answer, indent=None) if as_json else _for_people(answer))
    sys.stdout.flush()
    return status


def _content(file: Path) -> bytes:
    """What SMTP would carry: its last line has an end (RFC 5321 §4.1.1.4)."""
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    if not content or content.endswith((b"\r", b"\n")):
        return content
    return content + (b"\r\n" if b"\r\n" in content else b"\n")


def _explain(
    rules: "Rules",
    domains: "KnownDomains",
    file: Path,
    content: bytes,
    *,
    door: "Doorway",
    sender: str | None,
    rcpt: Sequence[str],
) -> dict[str, Any]:
    from qboxrelay.model.reply import Refusal

    try:
        envelope = _envelope(content, sender, rcpt, door)
        door.check(envelope.sender, content)
        decision = rules.decide(envelope, content)
        judged = domains.require_now(envelope.sender, decision.from_domain, decision.account)
    except Refusal as refusal:
        return {
            "file": str(file),
            "decision": "refuse",
            "reply": str(refusal.reply),
            "rule": refusal.rule,
            "submissions": [],
            "losses": [],
        }
    return {**_accepted(file, decision), "sender_domain": judged}


def _accepted(file: Path, decision: "Decision") -> dict[str, Any]:
    return {
        "file": str(file),
        "decision": "accept",
        "reply": "250 2.0.0 Ok: queued as <id>",
        "account": decision.account,
        "sender_rule": decision.sender_rule,
        "submissions": [json.loads(submission.payload) for submission in decision.submissions],
        "losses": [{"what": loss.what, "rule": loss.rule} for loss in decision.losses],
    }


def _envelope(content: bytes, sender: str | None, rcpt: Sequence[str], door: "Doorway") -> "Envelope":
    from qboxrelay.mime.parse import parse
    from qboxrelay.model.envelope import Envelope, Recipient

    if rcpt:
        recipients = [_recipient(text) for text in rcpt]
    else:
        message = parse(content)
        recipients = [mailbox.address for mailbox in (*message.to, *message.cc, *message.bcc)]
    return Envelope(
        transaction_id=_ID,
        sender=path_address(sender) if sender else None,
        recipients=tuple(Recipient(address) for address in dict.fromkeys(recipients)),
        client=door.client,
        account=door.account,
        received_at=datetime.now(UTC),
    )


def _recipient(text: str) -> "Address":
    found = path_address(text)
    if found is None:
        raise typer.BadParameter("an empty address receives nothing: write local@domain", param_hint="--rcpt")
    return found


def _for_people(answer: dict[str, Any]) -> str:
    lines = [f"{answer['file']}: {answer['decision']}", f"  reply    {answer['reply']}"]
    if "rule" in answer:
        lines.append(f"  rule     {answer['rule']}")
    if "account" in answer:
        lines.append(f"  account  {answer['account']}")
    if answer.get("sender_rule"):
        lines.append(f"  rule     {answer['sender_rule']}")
    if "sender_domain" in answer:
        lines.append(f"  domain   {answer['sender_domain']['text']}")
    lines += [f"  loss     {loss['what']} ({loss['rule']})" for loss in answer["losses"]]
    for number, submission in enumerate(answer["submissions"], 1):
        shown = to_json(_shortened(submission))
        lines += [f"  submission {number}:", *(f"    {line}" for line in shown.split("\n"))]
    return "\n".join(map(plain, lines))


def _shortened(submission: dict[str, Any]) -> dict[str, Any]:
    """Attachments' Base64 is not for reading; --json has it in full."""
    attachments = [
        {**attachment, "content": f"({len(attachment['content'])} characters of Base64)"}
        for attachment in submission.get("attachments", [])
    ]
    return {**submission, "attachments": attachments} if attachments else submission
