"""`qboxrelay send-test`: one real mail through the running relay, followed to its `message_id`.

In: an address. Out: each stage as it is reached, an exit status. Never: a mail that the person at the keyboard did not name the recipient of.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.queue import run_with_queue
from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.settings.schema import Settings
    from qboxrelay.spool.queue import Queue, Story

_LOOK_SECONDS = 0.2
_NO_SENDER = "name a sender with --from: no sender domain is known here"
_NO_ADDRESS = "{option} {text}: an address is like ann@example.com"
_UNFOLLOWED, _NOT_SENT, _WAITS = 3, 2, 3


def send_test(
    to: str = typer.Option(..., "--to", help="Who gets the mail. It is real: it goes out, and it counts."),
    sender: str = typer.Option(
        "", "--from", help="Its sender. Default: that of notices, else at a known sender domain."
    ),
    listener: str = typer.Option("", "--listener", help="By name. Default: the first that a program here could use."),
    user: str = typer.Option(
        "", "--user", help="Log in; the password is asked for, or the first line of standard input."
    ),
    wait: str = typer.Option("60s", "--wait", help="How long to follow it: 30s, 5m."),
    config: Path = CONFIG,
) -> None:
    """Send one real mail through the running relay and follow it to the API's request_id and message_id.

    Run it as the relay's user, or as root: it looks into the spool.

    Exit status 0: the API accepted it. 1: the relay did not take it. 2: it failed or is held. 3: it still waits, or could not be followed.
    """

    async def work(queue: "Queue", loaded: "Loaded") -> int:
        from qboxrelay.cli.send_test_door import Letter, NotAcceptedError, choose_door, hand_in
        from qboxrelay.settings.types import parse_duration
        from qboxrelay.spool.port import SpoolError

        seconds = parse_duration(wait).total_seconds()
        from_ = sender or await _sender(loaded)
        if not from_:
            return fail(_NO_SENDER)
        for option, text in (("--to", to), ("--from", from_)):
            if not _is_address(text):
                return fail(_NO_ADDRESS.format(option=option, text=text))
        try:
            door = choose_door(loaded.settings, listener, with_login=bool(user))
            letter = Letter(
                sender=from_, recipient=to, content=_mail(from_, to), user=user, password=_password() if user else ""
            )
            _tell(f"sending from {from_} to {to}")
            id_ = await asyncio.to_thread(hand_in, loaded.settings, door, letter, _tell)
        except NotAcceptedError as error:
            return fail(str(error))
        if not id_:
            fail("it was accepted, but the reply names no id to follow it by")
            return _UNFOLLOWED
        try:
            return await _follow(queue, id_, time.monotonic() + seconds)
        except SpoolError as error:
            fail(f"accepted as {id_}, but it cannot be followed: {error}")
            return _UNFOLLOWED

    run_with_queue(config, work)


async def _follow(queue: "Queue", id_: str, deadline: float) -> int:
    from qboxrelay.cli.queue_tables import timeline
    from qboxrelay.model.submission import State

    await _tell_of_pauses(queue, id_)
    told: set[tuple[datetime, str]] = set()
    while True:
        story = await _story(queue, id_)
        for event in timeline(story) if story else ():
            if event not in told:
                told.add(event)
                _tell(event[1], event[0])
        if story and story.record.state in {State.SENT, State.FAILED, State.HELD}:
            return _ended(story)
        if time.monotonic() > deadline:
            fail(f"it still waits; what becomes of it says: qboxrelay trace {id_}")
            return _WAITS
        await asyncio.sleep(_LOOK_SECONDS)


async def _story(queue: "Queue", id_: str) -> "Story | None":
    """A mail to one recipient is one submission."""
    found = await queue.find(id_)
    return await queue.story(found[0].id) if found else None


async def _tell_of_pauses(queue: "Queue", id_: str) -> None:
    accounts = {record.account for record in await queue.find(id_)}
    for pause in (await queue.overview()).pauses:
        if not pause.account or pause.account in accounts:
            resume = f"qboxrelay queue resume {pause.account}".rstrip()
            _tell(f"{pause.account or 'everything'} is paused by {pause.by}: it goes on with {resume}")


def _ended(story: "Story") -> int:
    from qboxrelay.model.submission import State

    record = story.record
    if record.state is State.SENT:
        _tell(f"sent: request_id {record.request_id}, message_id {record.message_id}")
        return 0
    fail(
        f"it is {record.state}: {record.reason or ''} {record.text or ''}; see: qboxrelay trace {story.transaction_id}"
    )
    return _NOT_SENT


async def _sender(loaded: "Loaded") -> str:
    """An address that may probably send; empty when nothing is known."""
    from qboxrelay.cli.domain_facts import KnownDomains
    from qboxrelay.model.sender_domain import DomainState

    settings = loaded.settings
    if settings.notices.from_address:
        return settings.notices.from_address
    known = await KnownDomains.read(settings, asks_api=loaded.management_token is not None)
    listed = sorted(known.listing.domains.values(), key=lambda one: one.name) if known.listing else []
    enabled = [one.name for one in listed if one.state is DomainState.ENABLED]
    domain = next(iter([*_configured(settings), *enabled]), "")
    return f"postmaster@{domain}" if domain else ""


def _configured(settings: "Settings") -> list[str]:
    return [*(domain for account in settings.accounts for domain in account.domains), *settings.sender_domains.domains]


def _mail(sender: str, recipient: str) -> bytes:
    mail, now = EmailMessage(policy=SMTPUTF8), datetime.now(UTC)
    mail["From"], mail["To"] = sender, recipient
    mail["Subject"] = "qboxrelay: a test"
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"qboxrelay send-test was run at {now:%Y-%m-%d %H:%M:%S} UTC. Your relay works.\n")
    return mail.as_bytes(policy=SMTP if f"{sender}{recipient}".isascii() else SMTPUTF8)


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and text.isprintable() and not set(text) & set(" <>,;")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    import getpass

    return getpass.getpass("Password: ")


def _tell(text: str, at: datetime | None = None) -> None:
    from qboxrelay.cli.plain import plain

    moment = (at or datetime.now(UTC)).astimezone()
    print(f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}  {plain(text)}", flush=True)
